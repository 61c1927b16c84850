"""What the comparison finds: controls that must not pass, and what may pass."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.compare import Rows, Verdict, before, judge, rows_of, without_void
from chaos.mirror import lost_of
from schemas.outputs import REJECTED, TOMBSTONES
from schemas.sequences import sequence_schema
from tests.model import shop

ROWS: Rows = [("a", b"1"), ("b", b"2"), ("c", b"3")]


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (ROWS, Verdict(3, 0, 0, 0)),
        (ROWS[::-1], Verdict(3, 0, 0, 0)),
        ([*ROWS, ("b", b"2")], Verdict(3, 0, 1, 0)),
        (ROWS[1:], Verdict(3, 1, 0, 0)),
        ([("a", b"9"), *ROWS[1:]], Verdict(3, 0, 0, 1)),
        ([*ROWS, ("b", b"9")], Verdict(3, 0, 1, 1)),
        ([("b", b"9"), *ROWS], Verdict(3, 0, 1, 1)),
        ([*ROWS, ("d", b"4")], Verdict(3, 0, 0, 1)),
        ([], Verdict(3, 3, 0, 0)),
    ],
    ids=[
        "same", "order", "again", "dropped", "changed", "again and otherwise",
        "otherwise and again", "not expected", "nothing",
    ],
)  # fmt: skip
def test_each_way_to_differ_is_told_apart(found: Rows, verdict: Verdict) -> None:
    assert judge(ROWS, found) == verdict
    assert verdict.good == (verdict.lost == verdict.differing == 0)


def test_what_is_expected_twice_is_no_measure() -> None:
    assert not judge([*ROWS, ("a", b"1")], ROWS).good


@given(st.lists(st.sampled_from([*ROWS, ("a", b"9"), ("d", b"4")])))
def test_only_replays_of_all_that_is_expected_pass(found: Rows) -> None:
    assert judge(ROWS, found).good == (set(found) == set(ROWS))


def sequences() -> pa.Table:
    return pa.Table.from_batches([shop.rows(users=3, sessions=5)])


def lines(table: pa.Table) -> Rows:
    return rows_of(table, ["sequence_id"])


def changed(table: pa.Table, name: str, value: object) -> pa.Table:
    """The table with another value in the last row of a column."""
    at, column = table.schema.get_field_index(name), table[name].to_pylist()
    return table.set_column(
        at, table.schema.field(at), pa.array([*column[:-1], value], table.schema.field(at).type)
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user_id", "someone"),
        ("session_start", datetime(2026, 1, 1, 0, 0, 0, 1_000, UTC)),
        ("token_type", [0, 1]),
        ("token_id", [1, 3]),
        ("token_time", [None]),
        ("contents", 0),
        ("contents", None),
        ("category_topic", [[1], []]),
        ("category_topic", [[1], None]),
    ],
)
def test_a_change_anywhere_in_a_row_is_found(name: str, value: object) -> None:
    table = sequences()
    found = judge(lines(table), lines(changed(table, name, value)))
    assert found == Verdict(table.num_rows, 0, 0, 1)


def test_the_order_of_rows_and_columns_is_none_of_its_business() -> None:
    table = sequences()
    other = table.select(sorted(table.column_names)).take(list(reversed(range(table.num_rows))))
    assert judge(lines(table), lines(other)) == Verdict(table.num_rows)


def test_raw_bytes_are_compared_as_they_are() -> None:
    rows = [{"source": "s", "partition": 0, "offset": n, "raw": raw} for n, raw in enumerate(
        (b"\xff\x00", b"", None)
    )]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=REJECTED)
    key = ["source", "partition", "offset"]
    assert len(set(rows_of(table, key))) == 3
    other = pa.Table.from_pylist([{**rows[0], "raw": b"\xff"}, *rows[1:]], schema=REJECTED)
    assert judge(rows_of(table, key), rows_of(other, key)) == Verdict(3, 0, 0, 1)


def test_s13_what_an_erasure_makes_void_is_left_out() -> None:
    table = sequences()
    ends = table["session_end"].cast(pa.int64()).to_pylist()
    user = table["user_id"][0].as_py()
    time = ends[3]  # the end of his second session; each of the three has one in turn
    erased = pa.table([pa.array([user]), pa.array([time]).cast(TOMBSTONES[1].type)], TOMBSTONES)
    left = without_void(table, erased)
    users = table["user_id"].to_pylist()
    expected = [i for i in range(len(users)) if users[i] != user or ends[i] > time]
    assert 0 < len(expected) < table.num_rows
    assert left == table.take(expected)


def test_only_sessions_that_began_before_a_time_count() -> None:
    table = sequences()
    starts = sorted(table["session_start"].cast(pa.int64()).to_pylist())
    assert before(table, starts[7], "session_start").num_rows == 7
    assert before(sequence_schema(shop.SPEC).empty_table(), 0, "session_start").num_rows == 0


def test_what_was_lost_is_read_from_the_rejects() -> None:
    row = {"source": "views", "partition": 1, "offset": 5, "reason": "lost"}
    row["detail"] = "offsets 5 to 7 were deleted before they were read"
    other = {"source": "views", "partition": 0, "offset": 1, "reason": "json"}
    lost = lost_of(pa.Table.from_pylist([row, other, row], schema=REJECTED))
    assert {(place.topic, place.partition): offsets for place, offsets in lost.items()} == {
        ("views", 1): {5, 6, 7}
    }
