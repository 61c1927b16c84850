"""Columns of types that JSON lacks read as JSON would have them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.transforms.core.decode.reading import (
    Row,
    T,
    columns,
    line,
    only,
    plain,
    read,
    read_slowly,
    shop,
    texts,
    why,
)

MOMENT = datetime(2023, 11, 14, 22, 13, 20, 1999, UTC)
MICROS = T * 1000 + 1999

SCALARS: list[tuple[pa.DataType, list[Any], list[Any]]] = [
    (pa.int8(), [0, -7, None, 7], [0, -7, None, 7]),
    (pa.int16(), [300, None], [300, None]),
    (pa.int32(), [2**31 - 1], [2**31 - 1]),
    (pa.int64(), [2**53 + 1, 2**62 - 1, 2**62, -(2**63)], [2**53 + 1, 2**62 - 1, 2**62, -(2**63)]),
    (pa.uint8(), [255], [255]),
    (pa.uint32(), [2**32 - 1], [2**32 - 1]),
    (pa.uint64(), [2**63, 2**64 - 1, 1, None], [2**63, 2**64 - 1, 1, None]),
    (pa.float16(), [1.5, 2.0], [1.5, 2]),
    (pa.float32(), [0.5, 0.1, 3.0], [0.5, 0.10000000149011612, 3]),
    (pa.float64(), [0.1, -0.0, 1e22, None], [0.1, 0, 1e22, None]),
    (pa.bool_(), [True, False, None], [True, False, None]),
    (pa.string(), ["a", "", '"\n', "é", None], ["a", "", '"\n', "é", None]),
    (pa.large_string(), ["a", None], ["a", None]),
    (pa.string_view(), ["a", "a long text that is not inlined", None],
     ["a", "a long text that is not inlined", None]),
    (pa.binary(), [b"ab", "é".encode(), None], ["ab", "é", None]),
    (pa.large_binary(), [b"ab"], ["ab"]),
    (pa.binary_view(), [b"ab", None], ["ab", None]),
    (pa.binary(2), [b"ab", None], ["ab", None]),
    (pa.dictionary(pa.int8(), pa.string()), ["a", "b", "a", None], ["a", "b", "a", None]),
    (pa.dictionary(pa.int32(), pa.int64()), [7, 8, 7], [7, 8, 7]),
    (pa.decimal128(20, 2), [Decimal("1.50"), Decimal(2), None], [1.5, 2, None]),
    (pa.decimal256(60, 0), [Decimal(10**50)], [10**50]),
    (pa.date32(), [date(2023, 11, 14), None], ["2023-11-14", None]),
    (pa.date64(), [date(2023, 11, 14), None], ["2023-11-14", None]),
    (pa.null(), [None, None], [None, None]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values", "as_json"), SCALARS, ids=lambda one: str(one)[:20])
def test_scalars_of_each_type(kind: pa.DataType, values: list[Any], as_json: list[Any]) -> None:
    _alike(pa.array(values, kind), [{"geo": {"land": one}, "agent": one} for one in as_json])


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.large_list(pa.int64()), pa.list_view(pa.int64()),
             pa.list_(pa.int64(), 2)], ids=str,
)  # fmt: skip
def test_lists_of_each_type(kind: pa.DataType) -> None:
    values = [[1, 2], [3, None], None, [2**62, -1]]
    _alike(pa.array(values, kind), [{"add": one} for one in values], "add")


def test_lists_of_texts_and_of_other_lists() -> None:
    texts_of = pa.array([["a", "b"], [], None], pa.large_list(pa.large_string()))
    _alike(texts_of, [{"add": one} for one in texts_of.to_pylist()], "add")
    nested = columns({"u": pa.array(["x"]), "t": pa.array([T]), "add": pa.array([[[1]]])})
    assert why(read(nested)) == "bad_type"


def test_runs_and_sparse_unions_read_as_their_values() -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"]))
    _alike(runs, [{"geo": {"land": one}, "agent": one} for one in ("a", "a", "b")])


def _alike(array: pa.Array, records: list[Row], *names: str) -> None:
    """The column under these names, or as land and agent, reads as the JSON records do."""
    n = len(array)
    table: dict[str, pa.Array] = {"u": pa.array(["x"] * n), "t": pa.array([T] * n)}
    if names:
        table |= dict.fromkeys(names, array)
    else:
        plain_array = array
        if pa.types.is_run_end_encoded(array.type):  # a struct takes none
            plain_array = pa.array(array.to_pylist())
        table |= {"geo": pa.StructArray.from_arrays([plain_array], names=["land"]), "agent": array}
    got = plain(read(columns(table)))
    want = plain(read_slowly(texts(*(line(**record) for record in records))))
    assert got == want
    assert got["rejected"] == []


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York", "+05:30"])
@pytest.mark.parametrize("wanted", ["s", "ms", "us", "iso8601"])
@pytest.mark.parametrize("nested", [False, True])
def test_s1_timestamps_of_each_unit_and_zone(
    unit: str, zone: str | None, wanted: str, nested: bool
) -> None:
    per = {"s": 1_000_000, "ms": 1000, "us": 1}.get(unit)
    number = MICROS * 1000 + 1 if per is None else MICROS // per
    array = pa.array([number], pa.timestamp(unit, zone))
    path = "m.t" if nested else "t"
    column = pa.StructArray.from_arrays([array], names=["t"]) if nested else array
    table = {"u": pa.array(["x"]), path[0]: column, "agent": pa.array(['"'])}  # and one by one
    for part in ({"u": table["u"], path[0]: column}, table):
        done = read(columns(part), shop(time={"field": path, "unit": wanted}))
        assert only(done)["time"] == T + (0 if unit == "s" else 1)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("number", [2**62, -(2**62), 2**63 - 1, 0, 631_151_999])
@pytest.mark.parametrize("wanted", ["s", "ms", "us", "iso8601"])
def test_s1_timestamps_far_away_are_bad_times(unit: str, number: int, wanted: str) -> None:
    array = pa.array([number, T // 1000], pa.timestamp(unit))
    if unit == "ns" and abs(number) == 2**62:
        number = 0  # the year 2116, or 1823, is none too far for a count of ns
        array = pa.array([0, T // 1000], pa.timestamp(unit))
    table = {"u": pa.array(["x"] * 2), "t": array, "agent": pa.array(['"', "a"])}
    done = read(columns(table), shop(time={"field": "t", "unit": wanted}))
    assert done.reasons == {"bad_time": 1 if unit == "s" and number != T else 2}


def test_dates_and_texts_are_times_where_iso8601_is_the_unit() -> None:
    for array in (
        pa.array([date(2023, 11, 14)]),
        pa.array([date(2023, 11, 14)], pa.date64()),
        pa.array(["2023-11-14"]),
        pa.array([b"2023-11-14"]),
    ):
        done = read(
            columns({"u": pa.array(["x"]), "t": array}),
            shop(time={"field": "t", "unit": "iso8601"}),
        )
        assert only(done)["time"] == T - T % 86_400_000


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_s1_float_and_decimal_times_are_floored(unit: str) -> None:
    power = {"s": 10**6, "ms": 10**3, "us": 1}[unit]
    exact = Decimal(MICROS) / power
    for array in (pa.array([float(exact)]), pa.array([exact], pa.decimal128(30, 6)),
                  pa.array([str(exact)])):  # fmt: skip
        done = read(
            columns({"u": pa.array(["x"]), "t": array}), shop(time={"field": "t", "unit": unit})
        )
        assert only(done)["time"] == T + 1


@pytest.mark.parametrize(
    "array",
    [
        pa.array([timedelta(1)]),
        pa.array([MOMENT.time()]),
        pa.array([float("nan")]),
        pa.array([float("inf")], pa.float32()),
        pa.array([b"\xff"]),
        pa.array([b"\xff"], pa.binary_view()),
        pa.array([{"a": 1}]),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([[1]]),
        pa.array([[{"a": 1}]]),
        pa.array([[MOMENT]]),
        pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
    ],
    ids=str,
)
def test_types_that_a_scalar_is_not_are_rejected_only_where_they_are_used(array: pa.Array) -> None:
    good: Row = {"u": pa.array(["x", "y"]), "t": pa.array([T, T]), "i": pa.array([1, 2])}
    both = pa.concat_arrays([array, pa.nulls(1, array.type)])
    done = read(columns(good | {"agent": both}))
    assert (done.reasons, done.place.tolist()) == ({"bad_type": 1}, [1])
    assert len(read(columns(good | {"junk": both, "agent": pa.array(['"', '"'])})).place) == 2


def test_a_rejected_row_is_kept_as_an_arrow_stream_of_one_row() -> None:
    table = pa.table({
        "u": ["x", None, "z"],
        "t": [T, T, None],
        "v": pa.array(["a", "b", "c" * 20], pa.string_view()),
        "l": [[1] * 100, [2], [3]],
    })  # fmt: skip
    done = read(columns(table))
    rows = {row["line"]: row for row in done.rejected.to_pylist()}
    assert {n: row["reason"] for n, row in rows.items()} == {2: "missing_user", 3: "missing_time"}
    for number, row in rows.items():
        kept = pa.ipc.open_stream(row["raw"]).read_all()
        assert kept.to_pylist() == table.slice(number - 1, 1).to_pylist()


def test_a_csv_row_is_kept_as_its_line() -> None:
    table = pa.table({"u": ["", "x"], "t": [str(T)] * 2})
    fetched = columns(table)
    raw = [b",1", b"x,1"]
    done = read(type(fetched)(fetched.source, table, fetched.origin, raw))
    assert [row["raw"] for row in done.rejected.to_pylist()] == [b",1"]
    assert done.rows["user"].to_pylist() == ["x"]


def test_doubled_columns_the_last_counts() -> None:
    table = pa.table([["x"], ["y"], [T], [1], [2]], names=["u", "u", "t", "i", "i"])
    row = only(read(columns(table)))
    assert (row["user"], row["item"]) == ("y", 2)
    inner = pa.StructArray.from_arrays([pa.array(["a"]), pa.array([7])], names=["land", "land"])
    row = only(read(columns({"u": pa.array(["x"]), "t": pa.array([T]), "geo": inner})))
    assert row["scalar:land"] == 7


def test_columns_of_another_schema_are_rejects() -> None:
    for table in (
        pa.table({"other": [1, 2]}),
        pa.table({"u": [1.5, 2.5], "t": [T, T]}),
        pa.table({"u": [{"a": 1}] * 2, "t": [T, T]}),
        pa.Table.from_batches(
            [pa.RecordBatch.from_struct_array(pa.array([{}] * 2, pa.struct([])))]
        ),
    ):
        done = read(columns(table))
        assert (len(done.place), done.rejected.num_rows) == (0, 2)


def test_bins_of_typed_numbers() -> None:
    prices = [5, 20, 2**53 + 1, -(2**63)]
    for kind in (pa.int64(), pa.uint64(), pa.decimal128(20, 0), pa.float64()):
        kept = [one for one in prices if kind != pa.uint64() or one >= 0]
        n = len(kept)
        array = pa.array(np.array(kept, float)) if kind == pa.float64() else pa.array(
            [Decimal(one) for one in kept] if pa.types.is_decimal(kind) else kept, kind
        )  # fmt: skip
        done = read(columns({"u": pa.array(["x"] * n), "t": pa.array([T] * n), "price": array}))
        assert done.rows["scalar:price"].to_pylist() == [2, 2, 4, 1][:n]
