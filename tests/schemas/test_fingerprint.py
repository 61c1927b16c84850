"""What changes the fingerprint of a spec, and what does not."""

import pytest

from schemas.fingerprint import fingerprint
from schemas.load import parse_spec
from tests.schemas.shop import LEAST, SHOP, varied


def test_it_is_16_hex_digits_that_stay_the_same_for_ever() -> None:
    assert fingerprint(parse_spec(LEAST)) == "74c45fc6aa54bf21"
    assert fingerprint(parse_spec(SHOP)) == "dac18602f52b21b2"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: shop", "name: other"),
        ("format: json", "format: parquet"),
        ("    format: json\n", ""),
        ("dropped: [ctr, dwell_ms]", "dropped: []"),
        ("horizon: 10m", "horizon: 1h"),
        ("horizon: 10m\n", ""),
        ("sampling: {tokens: 2048, seed: 0}\n", ""),
        ("watermark: {skew: 1h, idle: 1m}", "watermark: {skew: 2h, idle: 2m}"),
        ("record_bytes: 1000000", "record_bytes: 5"),
        ("gap: 30m", "gap: 1800s"),
        (", tokens: 16384", ""),
        ("time: {field: ts, unit: ms}", "time: ts"),
        ("followed: set", "followed: {kind: set, max_members: 4096}"),
        ("{field: geo.country}", "{field: geo.country, nulls: skip}"),
        ("bins: [5, 20, 100]", "bins: [5.0, 20, 100]"),
        ("in: [VIEW, LIKE]", "in: [LIKE, VIEW, LIKE]"),
        ("positive: [LIKE, BUY]", "positive: [BUY, LIKE]"),
        ("categories: [creator, topics]", "categories: [topics, creator]"),
        ("{creator: creator_id, topics: topic_ids}", "{topics: topic_ids, creator: creator_id}"),
    ],
)
def test_what_means_the_same(old: str, new: str) -> None:
    assert fingerprint(parse_spec(varied(old, new))) == fingerprint(parse_spec(SHOP))


def test_the_order_of_sources_says_nothing() -> None:
    erasures = "  erasures: {user: user_id, time: ts, erase: true}\n"
    moved = varied("sources:\n", "sources:\n" + erasures, varied(erasures, ""))
    assert fingerprint(parse_spec(moved)) == fingerprint(parse_spec(SHOP))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  follows:\n", "  followed:\n"),
        ("user: user_id", "user: uid"),
        ("unit: ms", "unit: us"),
        ("event_id: event_id", "event_id: [event_id]"),
        ("    event_id: event_id\n", ""),
        ("actions: {field: kind}", "actions: {always: [VIEW]}"),
        ("in: [LOGOUT]", "in: [QUIT]"),
        ("    where: {field: kind, in: [VIEW, LIKE]}\n", ""),
        ("{field: geo.country}", "{field: geo.region}"),
        ("{field: agent, nulls: value}", "{field: agent}"),
        ("bins: [5, 20, 100]", "bins: [5, 20, 101]"),
        ("{add: followed_id, remove: unfollowed_id}", "{add: followed_id}"),
        (", erase: true", ""),
        ("actions: [VIEW, LIKE, BUY]", "actions: [LIKE, VIEW, BUY]"),
        ("positive: [LIKE, BUY]", "positive: [LIKE]"),
        ("{country: scalar, device: scalar,", "{device: scalar, country: scalar,"),
        ("followed: set", "followed: {kind: set, max_members: 4095}"),
        ("categories: [creator, topics]", "categories: [creator, topics, more]"),
        ("gap: 30m", "gap: 31m"),
        ("max_contents: 1000", "max_contents: 1001"),
        ("attribution: 0s", "attribution: 1s"),
        ("contents: 4096", "contents: 4095"),
        ("tokens: 16384", "tokens: 16385"),
        ("retention: 400d\n", ""),
    ],
)
def test_what_means_something_else(old: str, new: str) -> None:
    assert fingerprint(parse_spec(varied(old, new))) != fingerprint(parse_spec(SHOP))
