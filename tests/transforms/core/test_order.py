"""S2, S3: the order of a user's records, and copies."""

from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.core.order import in_order

SCHEMA = pa.schema([
    pa.field("user", pa.string()), pa.field("time", pa.int64()), pa.field("source", pa.int16()),
    pa.field("event_id", pa.string()), pa.field("content", pa.string()),
    pa.field("erase", pa.bool_()),
])  # fmt: skip
Row = dict[str, Any]


def row(time: int, event_id: str = "a", **other: Any) -> Row:
    return {"user": "u", "time": time, "source": 0, "event_id": event_id, "content": "c",
            "erase": False} | other  # fmt: skip


def ordered(rows: list[Row]) -> list[Row]:
    table, user = in_order(pa.Table.from_pylist(rows, schema=SCHEMA))
    names = table["user"].to_pylist()
    assert all((a == b) == (m == n) for a, m in zip(names, user, strict=True)
               for b, n in zip(names, user, strict=True))  # fmt: skip
    return list(table.table().to_pylist())


def test_s2_by_time_then_event_id_by_its_bytes_then_source() -> None:
    want = [row(1, "z"), row(2, "B"), row(2, "b"), row(2, "b", source=1), row(2, "\uffff"),
            row(2, "\U0001f600")]  # fmt: skip
    assert ordered([want[i] for i in (5, 3, 1, 0, 4, 2)]) == want


def test_s2_erasures_come_last_of_one_time() -> None:
    want = [row(1), row(2, "z"), row(2, "a", erase=True), row(3)]
    assert ordered(want[::-1]) == want


@pytest.mark.parametrize("contents", [["a", "b", "\uffff"], ["\uffff", "\U0001f600"], ["", "a"]])
def test_s3_the_copy_of_least_content_stays(contents: list[str]) -> None:
    rows = [row(1, content=one) for one in contents]
    for given_rows in (rows, rows[::-1]):
        assert ordered(given_rows) == [rows[0]]


@pytest.mark.parametrize("other", [{"time": 2}, {"user": "v"}, {"source": 1}, {"event_id": "b"}])
def test_s3_what_differs_in_its_key_is_no_copy(other: Row) -> None:
    assert len(ordered([row(1), row(1, **other) if "time" not in other else row(2)])) == 2


def test_s3_users_may_be_many_and_empty_batches_none() -> None:
    assert ordered([]) == []
    rows = [row(t, user=f"u{u}") for u in range(30) for t in range(3)]
    Random(3).shuffle(rows)
    assert sorted((r["user"], r["time"]) for r in ordered(rows)) == sorted(
        (r["user"], r["time"]) for r in rows
    )


KEYS = st.tuples(
    st.sampled_from("uv"), st.integers(0, 3), st.booleans(),
    st.sampled_from(["", "a", "é", "\uffff"]), st.integers(0, 1), st.sampled_from(["", "a", "é"]),
)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(KEYS, max_size=14))
def test_s2_s3_as_a_plain_sort_has_it(keys: list[tuple[Any, ...]]) -> None:
    names = ("user", "time", "erase", "event_id", "source", "content")
    rows = [dict(zip(names, key, strict=True)) for key in keys]
    least: dict[Any, Row] = {}
    for one in rows:
        key = (one["user"], one["time"], one["erase"], one["event_id"].encode(), one["source"])
        if key not in least or one["content"].encode() < least[key]["content"].encode():
            least[key] = one
    want = [least[key] for key in sorted(least)]
    got = [{name: one[name] for name in names} for one in ordered(rows)]
    assert sorted(got, key=lambda one: str(one["user"])) == want
