"""The rival: the same model, many epochs over what was there by some time, and then judged.

It is trained on whole histories, one row a user, in a new order each epoch. As its weights stand
still while it is judged, and nothing that comes later changes what is said at a position, a user's
last row says all: the same targets, histories, candidates and ranks as session after session.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from examples.movielens.one_pass.online import Cost, Recorded, parts_of
from examples.movielens.one_pass.ranks import COLUMNS, Ranks, asked
from examples.movielens.one_pass.stream import Ints, Newest, Sessions
from kernels.hashing import hashed
from model.reader.rows import batch_of
from model.trainer import Trainer

END, PLACE = COLUMNS.index("session_end"), COLUMNS.index("place")
BEFORE_ALL = -1


@dataclass
class Rival:
    """A trainer that may see everything that is over, as often as it likes. `falls`: the rates
    fall to nothing along a cosine over the epochs. One process."""

    trainer: Trainer
    sessions: Sessions
    falls: bool = True
    cost: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        self.trainer.scores["retrieval"] = Recorded(self.trainer)
        self._rates = self.trainer.config.optimizer

    def epochs(self, until: int, count: int, rate: float = 1.0) -> Iterator[int]:
        """Trains on all that was over by a time (ms), with that part of the settings' rates at
        first; gives the epoch after each, from 1."""
        rows = self.sessions.newest(BEFORE_ALL, until).rows
        for epoch in range(count):
            order = hashed(self._seed(epoch), torch.arange(len(rows))).argsort().tolist()
            parts = list(parts_of([rows[row] for row in order], self.trainer.config.batch_tokens))
            for number, part in enumerate(parts):
                self._set_rates(rate, (epoch + number / len(parts)) / count)
                batch = batch_of(part)
                self.cost.add(batch)
                self.trainer.learn([batch])
            yield epoch + 1

    def judged(self, since: int, until: int) -> Ranks:
        """The ranks of the contents of sessions that ended in (since, until] (ms)."""
        newest = self.sessions.newest(since, until)
        parts, first = [], 0
        for rows in parts_of(newest.rows, 4 * self.trainer.config.batch_tokens):
            batch = batch_of(rows).to(self.trainer.device)
            found = asked(self.trainer, batch).cpu()
            parts.append(_with_ends(found, newest, first, batch.new_contents_B.cpu().numpy()))
            first += len(rows)
        return Ranks(parts)

    def _seed(self, epoch: int) -> int:
        return self.trainer.config.seed + 7_919 * (1 + epoch + self.trainer.step)

    def _set_rates(self, rate: float, done: float) -> None:
        """That part of the settings' rates at first, and nothing at last, where they fall."""
        factor = rate * float((1 + np.cos(np.pi * done)) / 2 if self.falls else 1.0)
        set_rates(self.trainer, self._rates.rate * factor, self._rates.table_rate * factor)


def set_rates(trainer: Trainer, rate: float, table_rate: float) -> None:
    """Other rates for a trainer from its next step on."""
    rates = {"rate": rate, "table_rate": table_rate}
    optimizer = trainer.config.optimizer.model_copy(update=rates)
    trainer.config = trainer.config.model_copy(update={"optimizer": optimizer})
    for group, full_rate in zip(trainer.optimizer.param_groups, (rate, table_rate), strict=True):
        group["full_rate"] = full_rate


def _with_ends(found: Tensor, newest: Newest, first: int, new_B: Ints) -> Tensor:
    """Ranks of rows from number `first` on, with the session's own end for each target."""
    asked_B = np.minimum(new_B, newest.contents(first, len(new_B)) - 1)
    row_Q = first + np.repeat(np.arange(len(new_B)), asked_B)
    ends_Q = newest.ends(row_Q, found[PLACE].numpy())
    return found.index_copy(0, torch.tensor([END]), torch.from_numpy(ends_Q).unsqueeze(0))
