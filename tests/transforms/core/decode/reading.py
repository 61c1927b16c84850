"""A small shop's source to decode records of, and what decoding gave in plain values."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa

from schemas.fetched import Columns, Fetched, Origin, Texts
from tests.machine import spec_of
from transforms.core.decode import decoded as module
from transforms.core.decode import json_table
from transforms.core.decode.decoded import Decoded, decoded
from transforms.core.decode.json_table import Tables
from transforms.core.decode.plan import Plan

Row = dict[str, Any]
T = 1_700_000_000_000  # ms

SOURCE: Row = {
    "user": "u",
    "time": "t",
    "event_id": "id",
    "item": "i",
    "actions": {"field": "a"},
    "categories": {"topic": "c", "maker": "by.maker"},
    "end": {"field": "a", "in": ["OUT"]},
    "dropped": ["ctr", "seen.dwell"],
    "features": {
        "land": {"field": "geo.land"},
        "device": {"field": "agent", "nulls": "value"},
        "price": {"field": "price", "bins": [5, 20.5, 100]},
        "likes": {"add": "add", "remove": "rem"},
        "joined": {"snapshot": "all"},
    },
}


def shop(**changes: Any) -> Plan:
    """The plan of source `e`, with some of its keys changed; None takes one away."""
    source = {key: value for key, value in (SOURCE | changes).items() if value is not None}
    return Plan(spec_of(spec_with(source)), "e")


def spec_with(source: Row) -> Row:
    """A whole spec around a source."""
    return {
        "version": 1,
        "name": "shop",
        "sources": {"e": source},
        "actions": ["VIEW", "LIKE", "BUY"],
        "features": {
            "land": "scalar",
            "device": "scalar",
            "price": "scalar",
            "likes": "set",
            "joined": "set",
        },
        "categories": ["topic", "maker"],
        "limits": {"record_bytes": 20_000},
    }


def line(**values: Any) -> bytes:
    """One record of user x at T as JSON; values of `u` and `t` stand instead."""
    return json.dumps({"u": "x", "t": T, **values}, ensure_ascii=False).encode()


def texts(*lines: bytes, timestamp: Sequence[int] | None = None) -> Texts:
    """JSON records as a reader fetched them."""
    kafka = None if timestamp is None else np.array(timestamp, np.int64)
    return Texts("e", lines, Origin("e.jsonl", np.arange(1, len(lines) + 1), timestamp=kafka))


def columns(table: Mapping[str, pa.Array] | pa.Table) -> Columns:
    """Records as columns."""
    whole = table if isinstance(table, pa.Table) else pa.table(dict(table))
    return Columns("e", whole, Origin("e.parquet", np.arange(1, whole.num_rows + 1)))


def read(fetched: Fetched, plan: Plan | None = None) -> Decoded:
    """The records decoded, by default with the plan of the shop."""
    return decoded(fetched, plan or shop())


def read_slowly(fetched: Fetched, plan: Plan | None = None) -> Decoded:
    """The same, each JSON record by itself."""
    with patch.object(module, "tables_of", _none_of):
        return read(fetched, plan)


def read_quickly(fetched: Fetched, plan: Plan | None = None) -> Decoded:
    """The same, even the fewest JSON records as a table, where they can be."""
    with patch.object(json_table, "_SMALL", 2), patch.object(json_table, "_MOST_READ", 1000):
        return read(fetched, plan)


def _none_of(lines: Sequence[bytes], *_: object) -> Tables:
    return Tables(left=[np.arange(len(lines))])


def plain(done: Decoded) -> Row:
    """All that decoding gave, in plain values: rejects by their line."""
    return {
        "rows": done.rows.to_pylist(),
        "place": done.place.tolist(),
        "rejected": sorted(done.rejected.to_pylist(), key=lambda row: row["line"]),
        "names": done.names,
        "filtered": done.filtered,
        "dropped": {path: sorted(at.tolist()) for path, at in done.dropped.items() if len(at)},
        "reasons": done.reasons,
    }


def only(done: Decoded) -> Row:
    """The one row that there is, without what is null, empty or false in it."""
    assert done.rejected.num_rows == 0, done.rejected.to_pylist()
    (row,) = done.rows.to_pylist()
    return {name: value for name, value in row.items() if value not in (None, [], False)}


def why(done: Decoded) -> str:
    """The reason of the one reject."""
    (row,) = done.rejected.to_pylist()
    return str(row["reason"])
