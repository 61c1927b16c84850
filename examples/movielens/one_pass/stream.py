"""The sessions of a folder in the order of their ends, and the parts of their time."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from model.reader.folder import sequences_in
from model.reader.ordered import in_order
from model.reader.rows import Checking
from schemas.spec import Spec

Ints = npt.NDArray[np.int64]

_MANY = 1 << 32
"""More than any user has contents."""


@dataclass(frozen=True)
class Sessions:
    """All rows of a folder by the end of their session. Arrays int64 [R], R rows: user number,
    session's end (ms), contents with those before, and new ones."""

    rows: pa.RecordBatch
    user_R: Ints
    end_R: Ints
    contents_R: Ints
    new_R: Ints

    @classmethod
    def of(cls, folder: Path, spec: Spec) -> Self:
        """Reads a folder of `phia run`. Raises Failure for what is of another spec."""
        checking = Checking(spec)

        def prepare(batch: pa.RecordBatch) -> pa.RecordBatch:
            return checking.checked(batch, str(folder))

        data = sequences_in(folder, checking)
        parts = list(in_order(data, None, prepare))
        (rows,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
        _, user_R = np.unique(np.asarray(rows["user_id"]), return_inverse=True)
        end_R = np.asarray(rows["session_end"].cast(pa.int64()))
        contents_R = np.asarray(rows["contents"], np.int64)
        return cls(rows, user_R, end_R, contents_R, np.asarray(rows["new_contents"], np.int64))

    def edge(self, share: float) -> int:
        """The time (ms) by which that share of all interactions is over: the end of a session."""
        done_R = np.cumsum(self.new_R)
        row = np.searchsorted(done_R, share * done_R[-1])
        return int(self.end_R[min(int(row), len(done_R) - 1)])

    def edges(self, parts: int) -> list[int]:
        """The ends (ms) of so many parts with equally many interactions, but for whole sessions."""
        return [self.edge(part / parts) for part in range(1, parts + 1)]

    def newest(self, since: int, until: int) -> "Newest":
        """Of each user with a session in (since, until] the last row there."""
        inside_R = (self.end_R > since) & (self.end_R <= until)
        last_U, before_U = self._last(inside_R), self._last(self.end_R <= since)
        there_U = last_U >= 0
        contents_U = np.where(before_U >= 0, self.contents_R[before_U], 0)
        return Newest(self, last_U[there_U], contents_U[there_U])

    def _last(self, of_R: npt.NDArray[np.bool_]) -> Ints:
        """The number of each user's last row of those; -1 where there is none: [U]."""
        last_U = np.full(int(self.user_R.max()) + 1, -1)
        np.maximum.at(last_U, self.user_R[of_R], np.flatnonzero(of_R))
        return last_U


@dataclass(frozen=True)
class Newest:
    """Rows, one a user, each with the contents that it had before the time that is asked about."""

    of: Sessions
    row_U: Ints
    before_U: Ints

    @cached_property
    def rows(self) -> list[pa.RecordBatch]:
        """The rows, each alone; new contents are those since."""
        taken = self.of.rows.take(pa.array(self.row_U))
        new_U = pa.array(self.of.contents_R[self.row_U] - self.before_U, pa.int32())
        place = taken.schema.get_field_index("new_contents")
        taken = taken.set_column(place, taken.schema.field(place), new_U)
        return [taken.slice(row, 1) for row in range(len(self.row_U))]

    def contents(self, first: int, count: int) -> Ints:
        """How many contents some of the rows have."""
        return self.of.contents_R[self.row_U[first : first + count]]

    def ends(self, row_Q: Ints, place_Q: Ints) -> Ints:
        """The end (ms) of the session in which the user of such a row, by its number among these,
        had the content at a place: [Q]."""
        of = self.of
        key_R = of.user_R * _MANY + of.contents_R
        order_R = np.argsort(key_R)
        asked_Q = of.user_R[self.row_U[row_Q]] * _MANY + place_Q
        return of.end_R[order_R[np.searchsorted(key_R[order_R], asked_Q, side="right")]]
