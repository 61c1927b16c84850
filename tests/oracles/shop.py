"""A small shop to reckon examples by hand with: its spec, records and readable tokens."""

from typing import Any

import xxhash

from tests.oracles import oracle

T = 1_700_000_000_000  # ms; the examples count from here
Spec = dict[str, Any]
Row = dict[str, Any]


def spec_of(**changes: Any) -> Spec:
    """A small shop: `e` events carry items and features, `x` erasures; G = 1000 ms."""
    return {
        "version": 1,
        "name": "shop",
        "sources": {
            "e": {
                "user": "u",
                "time": "t",
                "event_id": "id",
                "item": "i",
                "actions": {"field": "a"},
                "categories": {"topic": "c"},
                "end": {"field": "a", "in": ["OUT"]},
                "features": {
                    "land": {"field": "land"},
                    "held": {"field": "held", "nulls": "skip"},
                    "price": {"field": "price", "bins": [5, 20, 100]},
                    "likes": {"add": "add", "remove": "rem"},
                },
            },
            "x": {"user": "u", "time": "t", "erase": True},
        },
        "actions": ["VIEW", "LIKE", "BUY"],
        "features": {"land": "scalar", "held": "scalar", "price": "scalar", "likes": "set"},
        "categories": ["topic"],
        "session": {"gap": "1000ms"},
        **changes,
    }


LAND, HELD, PRICE, LIKES = 2, 3, 4, 5  # token types


def at(time: int, **values: Any) -> Row:
    """A record of user `u` at T + time, its event_id the time unless given."""
    return {"u": "u", "t": T + time, "id": f"{time:06}", **values}


def run(spec: Spec, *records: Row | bytes, **more: Any) -> oracle.Result:
    """What the oracle makes of records of the source `e`."""
    return oracle.sequences(spec, {"e": list(records), **more})


def tokens_of(row: Row) -> list[tuple[int, int, int]]:
    """A sequence's tokens as (type, id, time after T)."""
    times = [time - T for time in row["token_time"]]
    return list(zip(row["token_type"], row["token_id"], times, strict=True))


def lengths(result: oracle.Result) -> list[int]:
    """The number of engagements of each session."""
    return [row["new_contents"] for row in result.sequences]


def reasons(*records: Row | bytes, spec: Spec | None = None) -> list[str]:
    """The reasons for which records are rejected."""
    return [reason for _, _, reason in run(spec or spec_of(), *records).rejected]


def hashed(text: str) -> str:
    """The xxh3-128 of a text, in hex."""
    return xxhash.xxh3_128_hexdigest(text.encode())
