"""A spec of one source to reckon firings by hand with, and a machine of it."""

from typing import Any

import pyarrow as pa

from tests.machine import Machine, decode, observations, spec_of

Row = dict[str, Any]
T = 1_700_000_000_000  # ms; the examples count from here

SPEC: Row = {
    "version": 1,
    "name": "hand",
    "sources": {
        "e": {
            "user": "u",
            "time": "t",
            "event_id": "id",
            "item": "i",
            "actions": {"field": "a"},
            "categories": {"topic": "c"},
            "end": {"field": "a", "in": ["OUT"]},
            "features": {"land": {"field": "land"}, "likes": {"add": "add", "remove": "rem"}},
        },
        "x": {"user": "u", "time": "t", "erase": True},
    },
    "actions": ["VIEW", "LIKE"],
    "features": {"land": "scalar", "likes": "set"},
    "categories": ["topic"],
    "session": {"gap": "1000ms"},
}


def machine(**changes: Any) -> Machine:
    """A shard of the spec with some keys changed."""
    return Machine(spec_of(SPEC | changes))


def at(time: int, **values: Any) -> Row:
    """A record of user `u` at T + time, its event_id the time unless given."""
    return {"u": "u", "t": T + time, "id": f"{time:06}", **values}


def rows(spec: Any, *records: Row, **other: list[Row]) -> pa.Table:
    """The observations of records of source `e`, and of others."""
    return observations(spec, decode(spec, {"e": [*records], **other}))


def erased(time: int, user: str = "u") -> list[Row]:
    """The records of source `x` that erase a user at T + time."""
    return [{"u": user, "t": T + time}]
