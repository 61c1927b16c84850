"""`observe_table`, on columns, gives what `observe`, on records, gives."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transforms.core.decode.batches import Batch, Record, batches
from tests.transforms.core.decode.reading import Row, T, columns, plain, read, shop
from transforms.core.decode.plan import Plan
from transforms.core.decode.record import Names, observe
from transforms.core.decode.reject import Rejected
from transforms.core.decode.table import observe_table

SKEWS = st.lists(st.sampled_from([0, -3_600_000, -3_600_001, 10**9]), min_size=8, max_size=8)


@settings(max_examples=250)
@given(batches(), st.one_of(st.none(), SKEWS))
def test_s1_columns_give_what_records_give(batch: Batch, skews: list[int] | None) -> None:
    plan, records = batch
    table = _table(records)
    stamps = None if skews is None else T + np.array(skews, np.int64)[: len(records)]
    mapped = observe_table(table, plan, stamps)
    names: Names = {}
    alone = [_observed(record, plan, stamps, n) for n, record in enumerate(table.to_pylist())]
    for place, row in zip(mapped.place.tolist(), mapped.rows.to_pylist(), strict=True):
        want = alone[place]
        assert isinstance(want, tuple)
        assert row == dict.fromkeys(row) | want[0]
        names |= want[1]
    assert mapped.names == names
    certain = set(range(len(records))) - {*mapped.doubtful.tolist()}
    assert certain >= {*mapped.place.tolist()}
    assert mapped.filtered == sum(alone[place] is None for place in certain)
    assert not any(isinstance(alone[place], Rejected) for place in certain)


def _observed(
    record: Row, plan: Plan, stamps: Any, place: int
) -> tuple[Row, Names] | Rejected | None:
    names: Names = {}
    try:
        row = observe(record, plan, None if stamps is None else int(stamps[place]), names)
    except Rejected as rejected:
        return rejected
    return None if row is None else (row, names)


def _table(records: list[Record]) -> pa.Table:
    """The records' fields as columns, without those that have no one Arrow type."""
    out = {}
    for name in sorted({name for record in records for name in record}):
        try:
            out[name] = pa.array([record.get(name) for record in records])
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
            continue
    return pa.table(out) if out else pa.table({"": pa.nulls(len(records))})


@settings(max_examples=60)
@given(batches())
def test_s1_columns_of_any_slicing_and_chunking_are_alike(batch: Batch) -> None:
    plan, records = batch
    table = _table(records)
    whole = plain(read(columns(table), plan))
    chunks = pa.concat_tables([table.slice(n, 1) for n in range(len(records))])
    assert plain(read(columns(chunks), plan)) == whole
    shifted = pa.concat_tables([table.slice(0, 1), table]).combine_chunks().slice(1)
    assert plain(read(columns(shifted), plan))["rows"] == whole["rows"]


def test_usual_columns_leave_nothing_doubtful() -> None:
    """Lest the tests here compare nothing."""
    n = 50
    table = pa.table({
        "u": pa.array(["x"] * n),
        "t": pa.array(range(T, T + n)),
        "id": pa.array(range(n)),
        "i": pa.array([None if k % 5 == 0 else f"item é {k}" for k in range(n)]),
        "a": pa.array([["VIEW", "LIKE"][: k % 3] for k in range(n)]),
        "c": pa.array([[k, k + 1] for k in range(n)]),
        "by": pa.array([{"maker": f"m{k}"} for k in range(n)]),
        "geo": pa.array([{"land": "de"} if k % 2 else None for k in range(n)]),
        "agent": pa.array([2.5, None] * (n // 2)),
        "price": pa.array([k / 2 for k in range(n)]),
        "add": pa.array([[k] if k % 3 else None for k in range(n)]),
        "all": pa.array([["a", "b"]] * n),
    })  # fmt: skip
    mapped = observe_table(table, shop(), None)
    assert len(mapped.place) == n
    assert not len(mapped.doubtful)


def test_ahead_of_the_kafka_clock_is_doubtful_from_the_skew_on() -> None:
    table = pa.table({"u": ["x"] * 3, "t": [T, T + 3_600_000, T + 3_600_001]})
    mapped = observe_table(table, shop(), np.full(3, T))
    assert (mapped.place.tolist(), mapped.doubtful.tolist()) == ([0, 1], [2])
