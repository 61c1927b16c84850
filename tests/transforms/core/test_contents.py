"""Contents as chunks: what is packed is unpacked; and the archive that keeps them."""

from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine import ListBag, spec_of
from tests.transforms.core.shop import SPEC
from transforms.coders import RecordBatchCoder
from transforms.core import archive as module
from transforms.core.archive import CELLS, Archive, Sizes
from transforms.core.contents import (
    contents_schema,
    in_order,
    newest,
    of_slots,
    packed,
    unpacked,
)

MAPPED = spec_of(SPEC | {"history": {"contents": 3}})
Row = dict[str, Any]

NUMBERS = st.one_of(
    st.integers(-3, 3), st.sampled_from([127, 128, -129, 2**31, 2**62, -(2**63), 2**63 - 1])
)
TIMES = st.integers(631_152_000_000, 7_258_118_399_999)


@st.composite
def contents(draw: st.DrawFn) -> list[Row]:
    """Contents by slot and ordinal."""
    out = []
    for slot in sorted(draw(st.sets(st.integers(0, 2**40), max_size=3))):
        first = draw(st.integers(0, 1000))
        times = sorted(draw(st.lists(TIMES, min_size=1, max_size=4)))
        for place, time in enumerate(times):
            topics = draw(st.lists(NUMBERS, max_size=3))
            out.append({"slot": slot, "ordinal": first + place, "item": draw(NUMBERS),
                        "actions": draw(st.integers(0, 2**62 - 1)), "time": time,
                        "category:topic": topics})  # fmt: skip
    return out


def table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=contents_schema(MAPPED))


@settings(max_examples=150)
@given(contents().filter(bool))
def test_what_is_packed_is_unpacked(rows: list[Row]) -> None:
    chunk = packed(table(rows))
    assert unpacked(chunk, MAPPED).to_pylist() == rows
    slots = sorted({row["slot"] for row in rows})
    for some in ([slots[0]], slots[1:], [5], []):
        want = [row for row in rows if row["slot"] in some]
        assert unpacked(of_slots(chunk, np.array(some, np.int64)), MAPPED).to_pylist() == want


def test_a_token_takes_few_bytes() -> None:
    n, random = 40_000, np.random.default_rng(1)
    times = np.sort(random.integers(0, 400 * 86_400_000, n)) + 1_700_000_000_000
    columns = [np.arange(n) // 400, np.arange(n) % 400, random.integers(1, 2**31, n),
               random.integers(0, 8, n), times]  # fmt: skip
    topics = pa.ListArray.from_arrays(pa.array(np.arange(n + 1), pa.int32()), columns[2] % 5000)
    whole = pa.table([*map(pa.array, columns), topics], schema=contents_schema(MAPPED))
    assert packed(whole).nbytes / (2 * n) <= 8


def test_ids_of_a_wide_range_are_kept_once_where_they_recur() -> None:
    n, ids = 40_000, (1 << 62) + np.random.default_rng(1).integers(0, 1 << 61, 500)
    columns = [np.arange(n) // 400, np.arange(n) % 400, ids[np.arange(n) % 500], np.ones(n, int),
               np.arange(n)]  # fmt: skip
    topics = pa.ListArray.from_arrays(pa.array(np.arange(n + 1), pa.int32()), columns[2])
    whole = pa.table([*map(pa.array, columns), topics], schema=contents_schema(MAPPED))
    chunk = packed(whole)
    assert chunk.nbytes / (2 * n) <= 4
    assert unpacked(chunk, MAPPED).equals(whole)


def rows_of(slot: int, first: int, count: int) -> list[Row]:
    return [{"slot": slot, "ordinal": n, "item": n, "actions": 1, "time": 10 * n,
             "category:topic": [n]} for n in range(first, first + count)]  # fmt: skip


def test_parts_in_order_and_the_newest_of_them() -> None:
    parts = [table(rows_of(2, 0, 3)), table(rows_of(1, 5, 2)), table(rows_of(2, 3, 1))]
    whole = in_order(parts, MAPPED)
    assert whole.to_pylist() == [*rows_of(1, 5, 2), *rows_of(2, 0, 4)]
    assert newest(whole, 3).to_pylist() == [*rows_of(1, 5, 2), *rows_of(2, 1, 3)]
    assert in_order([], MAPPED).num_rows == 0


def archive() -> Archive:
    return Archive(MAPPED, ListBag(), [ListBag() for _ in range(CELLS)], Sizes())


def recalled(kept: Archive, *slots: int) -> list[Row]:
    return list(kept.recall(np.array(slots, np.int64)).to_pylist())


@pytest.mark.parametrize("recent_bytes", [0, 4_000, 1 << 20])
def test_s9_the_archive_keeps_at_least_the_newest_of_each_live_slot(recent_bytes: int) -> None:
    kept, slots = archive(), [1, 2, 9, 17, 30]
    with patch.object(module, "RECENT_BYTES", recent_bytes):
        for first in range(0, 40, 2):
            new = [row for slot in slots for row in rows_of(slot, first, 2)]
            kept.append(table(new), np.array(slots))
            for slot in slots:
                assert recalled(kept, slot)[-3:] == rows_of(slot, 0, first + 2)[-3:]
    assert recalled(kept, 1, 30)[-3:] == rows_of(30, 37, 3)
    assert recalled(kept, 3) == []


def test_s9_cells_are_rewritten_so_that_they_do_not_grow_for_ever() -> None:
    kept = archive()
    with patch.object(module, "RECENT_BYTES", 200):
        for first in range(0, 600, 2):
            kept.append(table(rows_of(1, first, 2)), np.array([1]))
    assert sum(kept.sizes.cells) + kept.sizes.recent < 4_000
    assert recalled(kept, 1)[-3:] == rows_of(1, 597, 3)


@pytest.mark.parametrize("recent_bytes", [0, 4_000, 1 << 20])
def test_s13_nothing_of_a_forgotten_slot_is_kept(recent_bytes: int) -> None:
    kept = archive()
    with patch.object(module, "RECENT_BYTES", recent_bytes):
        for first in range(0, 20, 2):
            kept.append(table(rows_of(1, first, 2) + rows_of(9, first, 2)), np.array([1, 9]))
        kept.forget(np.array([9]))
    assert recalled(kept, 9) == []
    assert recalled(kept, 1)[-3:] == rows_of(1, 17, 3)
    bags = [kept.recent, *kept.cells]
    left = {slot for bag in bags for chunk in bag.read() for slot in chunk["slot"].to_pylist()}
    assert left == {1}
    kept.forget(np.array([1]))
    kept.forget(np.array([], np.int64))
    assert not any(bag.read() for bag in bags)


def test_s15_what_no_user_has_any_more_goes_when_a_cell_is_rewritten() -> None:
    kept = archive()
    with patch.object(module, "RECENT_BYTES", 200):
        for first in range(0, 100, 2):
            kept.append(table(rows_of(1, first, 2)), np.array([1]))
        for first in range(0, 600, 2):
            kept.append(table(rows_of(9, first, 2)), np.array([9]))
    assert recalled(kept, 1) == []


def test_the_sizes_are_those_of_what_is_kept() -> None:
    kept = archive()
    with patch.object(module, "RECENT_BYTES", 4_000):
        for first in range(0, 30, 2):
            kept.append(table(rows_of(1, first, 2) + rows_of(6, first, 2)), np.array([1, 6]))
            sizes = [kept.sizes.recent, *kept.sizes.cells]
            for size, bag in zip(sizes, (kept.recent, *kept.cells), strict=True):
                assert size == sum(_coded_bytes(chunk) for chunk in bag.read())
    assert Sizes(**kept.sizes.as_dict()) == kept.sizes


def _coded_bytes(chunk: pa.RecordBatch) -> int:
    """The bytes of a chunk in state, but for the eight that end a stream."""
    return len(RecordBatchCoder().encode(chunk)) - 8
