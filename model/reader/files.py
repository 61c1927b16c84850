"""Sequences of a folder, as a dataset of torch.

Legend: N rows.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from torch.utils.data import IterableDataset

from model.batch import SequenceBatch
from model.reader.folder import erasures_in, sequences_in
from model.reader.lane import Lane, Used, share_of
from model.reader.ordered import Prepare, in_order
from model.reader.progress import After, Erasure, Progress, voided
from model.reader.rows import Checking, Choose, Rows
from model.reader.seen import ids_of
from model.reader.sifting import Sifted
from model.reader.state import ReaderState
from schemas.ids import bucket_of
from schemas.spec import Spec


class SequenceFiles(IterableDataset[SequenceBatch]):
    """The sequences of a run's folder in batches of at most `tokens` tokens (one sequence alone
    may have more), by the times at which their sessions ended, then by id.

    Copies of a sequence, and void ones where the folder has tombstones/, are left out. Lane
    `lane` of `lanes` has the users with hash mod lanes = lane; workers of a DataLoader share a
    lane by the same rule. `choose` says which rows are trained on, and in what form. It begins
    at `start`. The folder is taken to be complete: what a run that is still going adds from
    behind the place that is read is not found.

    Raises, while it is read, Failure of one line for what is damaged or of another spec.
    """

    def __init__(
        self,
        folder: str | Path,
        spec: Spec,
        *,
        tokens: int,
        lane: int = 0,
        lanes: int = 1,
        choose: Choose | None = None,
        start: ReaderState | None = None,
    ) -> None:
        super().__init__()
        self._folder, self._checking, self._choose = Path(folder), Checking(spec), choose
        self._tokens, self._lane, self._lanes = tokens, lane, lanes
        self._start = start or ReaderState()

    def __iter__(self) -> Iterator[SequenceBatch]:
        """The batches, from the start again each time."""
        number, of = share_of(self._lane, self._lanes)
        data = sequences_in(self._folder, self._checking)
        erased = erasures_in(self._folder)
        lane = Lane(self._start.lane(number, of), self._tokens)
        for batch in in_order(data, lane.state.after, self._prepare(number, of)):
            rows = Rows.of(batch)
            sifted = _sifted(rows, lane.state.after, erased, self._choose)
            yield from lane.use(sifted, _used(sifted, lane, number, of))
        yield from lane.rest()

    def _prepare(self, number: int, of: int) -> Prepare:
        """Checks rows and keeps those of the lane's users."""

        def prepare(batch: pa.RecordBatch) -> pa.RecordBatch:
            checked = self._checking.checked(batch, str(self._folder))
            if of == 1:
                return checked
            mine = [bucket_of(user, of) == number for user in checked["user_id"].to_pylist()]
            return checked.filter(pa.array(mine, pa.bool_()))

        return prepare


def _sifted(
    rows: Rows, after: After | None, erased: Mapping[int, Erasure], choose: Choose | None
) -> Sifted:
    """In this order a copy stands behind its like."""
    void_N = voided(rows.seen, erased)
    ids_N, ends_N = rows.seen.ids, rows.seen.ends
    copy_N = np.zeros(len(rows), bool)
    copy_N[1:] = (ids_N[1:] == ids_N[:-1]) & (ends_N[1:] == ends_N[:-1])
    if after is not None:
        copy_N[0] = ids_N[0] == ids_of([after.sequence_id])[0] and ends_N[0] == after.session_end
    return Sifted.of(rows, void_N, ~void_N & copy_N, choose)


def _used(sifted: Sifted, lane: Lane, number: int, of: int) -> Used:
    before = lane.state.after
    ends, names = sifted.rows.seen.ends, sifted.rows.batch["sequence_id"]

    def used(start: int, stop: int) -> Progress:
        after = After(int(ends[stop - 1]), names[stop - 1].as_py()) if stop else before
        return Progress(number, of, after=after, counts=sifted.counts(start, stop))

    return used
