"""Lists of integers, gathered faster than a general take does."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.core.arrays import Bools, Ints, ints, ranges, sums_before


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists [n] of `values`, each from its `start` on and of its `length`; an absent one is empty.

    `single` says that each has just one value, which is usual for a category.
    """

    values: Ints
    start: Ints
    length: Ints
    single: bool

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "Lists":
        """The lists of a column."""
        lists = column.combine_chunks()
        length = np.where(_there(lists), np.diff(ints(lists.offsets)), 0)
        return cls(ints(lists.values), ints(lists.offsets)[:-1], length, bool((length == 1).all()))

    def at(self, rows: Ints) -> pa.Array:
        """The lists of these rows."""
        if self.single:
            values, offsets = self.values[self.start[rows]], np.arange(len(rows) + 1)
        else:
            length = self.length[rows]
            values, offsets = self.values[ranges(self.start[rows], length)], sums_before(length)
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))


def empty_lists(count: int) -> pa.Array:
    """So many lists of nothing."""
    offsets = pa.array(np.zeros(count + 1, np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array([], pa.int64()))


def _there(lists: pa.Array) -> Bools:
    return np.asarray(lists.is_valid(), dtype=bool)
