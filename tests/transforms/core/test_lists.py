"""Lists gathered by rows are those that a plain loop gathers."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from schemas.observations import IDS
from transforms.core.lists import Lists

COLUMNS = st.lists(st.none() | st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=8)
SINGLE = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=1), min_size=1, max_size=8)


@given(COLUMNS | SINGLE, st.data())
def test_rows_of_lists_are_gathered_as_by_a_loop(
    column: list[list[int] | None], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.integers(0, len(column) - 1), max_size=12))
    cut = data.draw(st.integers(0, len(column)))
    chunks = pa.chunked_array([pa.array(column[:cut], IDS), pa.array(column[cut:], IDS)])
    got = Lists.of(chunks).at(np.array(rows, np.int64))
    assert got.to_pylist() == [column[row] or [] for row in rows]
    got.validate(full=True)


def test_one_value_each_is_told_from_several() -> None:
    assert Lists.of(pa.chunked_array([[[1], [2]]], IDS)).single
    assert not Lists.of(pa.chunked_array([[[1], [2, 3]]], IDS)).single
    assert not Lists.of(pa.chunked_array([[[1], []]], IDS)).single
