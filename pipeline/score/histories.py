"""The histories of users at given times, from the folder of a run."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from model.batch import SequenceBatch
from model.reader.folder import erasures_in, sequences_in
from model.reader.progress import voided
from model.reader.rows import Checking, Rows, batch_of
from model.reader.slices import READ
from pipeline.score.requests import Asked
from schemas.spec import Spec


class Histories:
    """Of each user and time the newest sequence that had ended then and is not void.

    Raises UsageError for what is no folder of a run, and Failure for files of another spec.
    """

    def __init__(self, folder: Path, spec: Spec) -> None:
        self._checking, self._folder = Checking(spec), folder
        self._data, self._erased = sequences_in(folder, self._checking), erasures_in(folder)
        self._none = SequenceBatch.empty(spec.categories)

    def of(self, asked: Sequence[Asked]) -> list[SequenceBatch]:
        """One history for each that is asked; without a sequence where there is none."""
        users = pa.array(sorted({each.user for each in asked}), pa.string())
        wanted = pc.field("user_id").isin(users)
        columns = ["user_id", "sequence_id", "session_end", "token_id"]
        ends: dict[str, list[tuple[int, str]]] = {}
        for batch in self._data.to_batches(columns=columns, filter=wanted, **READ):
            self._note(batch, ends)
        chosen = [_newest(ends.get(each.user, []), each.time_ms) for each in asked]
        rows = self._rows([name for name in chosen if name is not None])
        return [self._none if name is None else rows[name] for name in chosen]

    def _note(self, batch: pa.RecordBatch, ends: dict[str, list[tuple[int, str]]]) -> None:
        """When the sequences of each user ended, of those that are not void."""
        if not batch.num_rows:
            return
        rows = Rows.of(batch)
        rows = rows.where(~voided(rows.seen, self._erased))
        names = zip(
            *(rows.batch[name].to_pylist() for name in ("user_id", "sequence_id")), strict=True
        )
        for (user, name), end in zip(names, rows.seen.ends.tolist(), strict=True):
            ends.setdefault(user, []).append((end, name))

    def _rows(self, names: Sequence[str]) -> dict[str, SequenceBatch]:
        """Sequences by their ids; of copies any."""
        wanted = ds.field("sequence_id").isin(pa.array(sorted(set(names)), pa.string()))
        found = {}
        for batch in self._data.to_batches(filter=wanted, **READ):
            checked = self._checking.checked(batch, str(self._folder))
            for number, name in enumerate(checked["sequence_id"].to_pylist()):
                found[name] = batch_of([checked.slice(number, 1)])
        return found


def _newest(ends: Sequence[tuple[int, str]], time_ms: int) -> str | None:
    """The id of the last sequence that had ended at a time."""
    return max((each for each in ends if each[0] <= time_ms), default=(0, None))[1]
