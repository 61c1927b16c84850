"""Small array steps that the rules share."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NEVER = np.iinfo(np.int64).max
"""A time, or a place in a history, that is never reached."""


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """The numbers start, start + 1, … of each range, one range after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    steps: Ints = np.repeat(starts - (ends - lengths), lengths)
    return np.arange(total) + steps


def is_first(*keys: npt.NDArray[np.generic]) -> Bools:
    """True at each row where any key differs from the row before, and at the first."""
    first = np.ones(len(keys[0]), bool)
    if len(first):
        first[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return first


def runs(first: Bools) -> tuple[Ints, Ints]:
    """The starts and lengths of the runs that begin where `first` is True."""
    starts = np.flatnonzero(first)
    return starts, np.diff(np.append(starts, len(first)))


def place_in_run(first: Bools) -> Ints:
    """[n] the place of each row within its run, from 0."""
    starts, lengths = runs(first)
    return np.arange(len(first)) - np.repeat(starts, lengths)


def sums_before(values: npt.NDArray[np.generic]) -> Ints:
    """[n + 1] the sum of all values before each place."""
    return np.concatenate([[0], np.cumsum(values, dtype=np.int64)])


def last_true(mask: Bools) -> Ints:
    """The index of the nearest True at or before each row (0 where there is none)."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), 0))


def ints(column: pa.Array | pa.ChunkedArray, null: int = 0) -> Ints:
    """A column of integers or flags as int64, nulls as `null`."""
    if column.null_count:
        column = pc.fill_null(column, null)
    return np.asarray(column).astype(np.int64, copy=False)


def valid(column: pa.Array | pa.ChunkedArray) -> Bools:
    """True where a column is not null."""
    if not column.null_count:
        return np.ones(len(column), bool)
    return np.asarray(column.is_valid())


def flags(column: pa.Array | pa.ChunkedArray) -> Bools:
    """A column of booleans without nulls."""
    return np.asarray(column, dtype=bool)
