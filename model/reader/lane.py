"""A lane: a part of the input that is read in one order and cut into batches by itself."""

from collections.abc import Callable, Iterator

from torch.utils.data import get_worker_info

from model.batch import SequenceBatch
from model.reader.budget import Filling
from model.reader.progress import Erasure, Progress
from model.reader.rows import batch_of
from model.reader.sifting import Sifted
from model.reader.state import LaneState
from schemas.failures import UsageError

Used = Callable[[int, int], Progress]
"""The progress that it is to have used rows from one number up to another."""


class Lane:
    """Batches of the rows that come, each with the progress since the one before.

    `state` runs ahead: it has all that came. Between two batches nothing is held, so what a batch
    says is all that is needed to go on behind it.
    """

    def __init__(self, state: LaneState, tokens: int) -> None:
        if tokens < 1:
            raise UsageError(f"tokens of a batch must be at least 1; it is {tokens}")
        self.state = state
        self._filling = Filling(tokens)
        self._since: list[Progress] = []

    def use(self, sifted: Sifted, used: Used) -> Iterator[SequenceBatch]:
        """Takes in rows, and gives the batches that this fills: each ends before the first row
        that it has no room for."""
        rows, done, put = sifted.chosen, 0, 0
        while put < len(rows):
            room = self._filling.room(rows.tokens_N[put:])
            if not room:
                upto = int(sifted.at_K[put])
                self.note(used(done, upto))
                yield self._batch()
                done = upto
            self._filling.add(rows.part(put, put + room))
            put += room
        self.note(used(done, len(sifted.rows)))

    def erase(self, erasure: Erasure) -> int:
        """Takes void rows out of the batch that is being filled, and says how many."""
        return self._filling.erase(erasure)

    def note(self, progress: Progress) -> None:
        """Adds progress to the state, and to the batch that is being filled."""
        self.state.advance(progress)
        self._since.append(progress)

    def rest(self) -> Iterator[SequenceBatch]:
        """The last batch, if there is anything for it."""
        if len(self._filling):
            yield self._batch()

    def _batch(self) -> SequenceBatch:
        batch = batch_of(self._filling.take(), Progress.joined(self._since))
        self._since = []
        return batch


def share_of(lane: int, lanes: int) -> tuple[int, int]:
    """The lane of this worker of a DataLoader, and how many lanes there are with all workers.
    Without workers it is the lane as it is. Raises UsageError for a lane that is none."""
    if not 0 <= lane < lanes:
        raise UsageError(f"lane {lane} of {lanes}: it must be 0 to {lanes - 1}")
    worker = get_worker_info()
    if worker is None:
        return lane, lanes
    return lane + lanes * worker.id, lanes * worker.num_workers
