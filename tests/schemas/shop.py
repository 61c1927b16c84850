"""A spec that uses every key, to be varied by the tests."""

SHOP = r"""
version: 1
name: shop
sources:
  views:
    format: json
    user: user_id
    time: {field: ts, unit: ms}
    event_id: event_id
    item: item_id
    actions: {field: kind}
    categories: {creator: creator_id, topics: topic_ids}
    end: {field: kind, in: [LOGOUT]}
    where: {field: kind, in: [VIEW, LIKE]}
    dropped: [ctr, dwell_ms]
    features:
      country: {field: geo.country}
      device:  {field: agent, nulls: value}
      price:   {field: price, bins: [5, 20, 100]}
  follows:
    user: user_id
    time: ts
    features:
      followed: {add: followed_id, remove: unfollowed_id}
  erasures: {user: user_id, time: ts, erase: true}
actions: [VIEW, LIKE, BUY]
positive: [LIKE, BUY]
features: {country: scalar, device: scalar, price: scalar, followed: set}
categories: [creator, topics]
session: {gap: 30m, max_contents: 1000}
horizon: 10m
attribution: 0s
history: {contents: 4096, tokens: 16384}
retention: 400d
sampling: {tokens: 2048, seed: 0}
watermark: {skew: 1h, idle: 1m}
limits: {record_bytes: 1000000}
""".lstrip()

LEAST = """
version: 1
name: least
sources:
  views: {user: u, time: t}
""".lstrip()


def varied(old: str, new: str, text: str = SHOP) -> str:
    """The text with the one place that says `old` saying `new`."""
    assert text.count(old) >= 1, old
    return text.replace(old, new, 1)
