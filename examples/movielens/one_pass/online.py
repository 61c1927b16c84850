"""One pass: each session is predicted, then what is drawn of the sessions is learned, once.

The batches are those of `phia train`, by its own reader and sampling. Beside them every session is
scored in whole, drawn or not, shortened or not, by the weights before the step in whose batch it
is or would be: so runs that learn from few of the sessions are judged on all of them.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from examples.movielens.one_pass.ranks import Ranks, asked, ranks_of
from model.batch import SequenceBatch
from model.evaluation.windows import Metric
from model.reader.prefetch import prefetched
from model.reader.rows import Choose, batch_of
from model.rehearsal import Rehearsal
from model.sampling.token_rows import tokens_of
from model.scores import Scores
from model.tables import Lookup
from model.trainer import Trainer

AHEAD = 2
LANE = 0
SCORED_TOKENS = 16_384
"""Of what is scored apart from steps, at a time."""


class Watched:
    """A choice of rows that keeps the rows it was given, in their order, until they are asked for.

    A reader calls it in a thread of its own. Only rows of sessions that ended in (since, until]
    (ms) are let through.
    """

    def __init__(self, choose: Choose, since: int = -1, until: int = 1 << 62) -> None:
        self._choose, self._since, self._until = choose, since, until
        self._came: deque[pa.RecordBatch] = deque()

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What is chosen of the rows."""
        ends_R = np.asarray(batch["session_end"].cast(pa.int64()))
        batch = batch.filter(pa.array((ends_R > self._since) & (ends_R <= self._until)))
        self._came.extend(batch.slice(row, 1) for row in range(batch.num_rows))
        return self._choose(batch)

    def until(self, sequence_id: str | None) -> Iterator[pa.RecordBatch]:
        """The rows up to this one, or all, one by one; each is given once."""
        while self._came:
            row = self._came.popleft()
            yield row
            if row["sequence_id"][0].as_py() == sequence_id:
                return


@dataclass
class Recorded(Scores):
    """In the place of a trainer's figures of retrieval: the ranks of what a step will learn, of
    those rows of its batch that are as they came; None: of no rows."""

    trainer: Trainer
    ranks: Ranks = field(default_factory=Ranks)
    whole_B: Tensor | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)

    def add(self, said: Any, batch: SequenceBatch, lookup: Lookup) -> None:
        """Adds a batch."""
        if self.whole_B is not None:
            self.ranks.parts.append(ranks_of(self.trainer, said, batch, self.whole_B))


@dataclass
class Cost:
    """What was trained on: sequences, tokens, and pairs of tokens, of which attention does half."""

    sequences: int = 0
    tokens: int = 0
    pairs: int = 0

    def add(self, batch: SequenceBatch) -> None:
        """Adds a batch."""
        lengths_B = batch.offsets_B1.diff()
        self.sequences += batch.sequences
        self.tokens += batch.tokens
        self.pairs += int((lengths_B * lengths_B).sum())


@dataclass
class OnePass:
    """A trainer that learns what comes once. Rows that are learned as they came are scored by the
    very pass that they are learned from; others are scored apart. One process only."""

    trainer: Trainer
    cost: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        self._recorded = Recorded(self.trainer)
        self.trainer.scores["retrieval"] = self._recorded
        self._rehearsal = Rehearsal.of(self.trainer.config, 1, [LANE])

    @property
    def ranks(self) -> Ranks:
        """Those of all that was scored so far."""
        return self._recorded.ranks

    def steps(
        self, batches: Iterable[SequenceBatch | None], watched: Watched
    ) -> Iterator[SequenceBatch]:
        """Scores and learns, batch by batch; gives each after its step. `watched` chooses for the
        reader of the batches."""
        for batch in prefetched(batches, AHEAD):
            if batch is None:
                continue
            came = list(watched.until(batch.sequence_ids[-1]))
            whole_B = _as_they_came(batch, came)
            names = zip(batch.sequence_ids, whole_B.tolist(), strict=True)
            self._score(came, {name for name, is_whole in names if is_whole})
            self._recorded.whole_B = whole_B.to(self.trainer.device)
            self.cost.add(batch)
            again = self._rehearsal.again({LANE: batch}, self.trainer.step)
            self.trainer.learn([batch], map(self._added, again))
            yield batch
        self._score(watched.until(None), set())

    def _added(self, sequences: list[SequenceBatch]) -> list[SequenceBatch]:
        """What is learned again, once its cost is added up."""
        for sequence in sequences:
            self.cost.add(sequence)
        return sequences

    def _score(self, rows: Iterable[pa.RecordBatch], learned: set[str]) -> None:
        """Scores the rows that came, but for those that the step itself will score."""
        apart = [row for row in rows if row["sequence_id"][0].as_py() not in learned]
        for part in parts_of(apart, SCORED_TOKENS):
            batch = batch_of(part).to(self.trainer.device)
            self.ranks.parts.append(asked(self.trainer, batch))


def _as_they_came(batch: SequenceBatch, came: list[pa.RecordBatch]) -> Tensor:
    """Which sequences of a batch have all tokens that they came with: bool [B]."""
    tokens = {row["sequence_id"][0].as_py(): int(tokens_of(row)[0]) for row in came}
    whole_B: Tensor = batch.offsets_B1.diff() == torch.tensor(
        [tokens[n] for n in batch.sequence_ids]
    )
    return whole_B


def parts_of(rows: list[pa.RecordBatch], tokens: int) -> Iterator[list[pa.RecordBatch]]:
    """The rows, of one sequence each, in order, in parts of about so many tokens."""
    part: list[pa.RecordBatch] = []
    size = 0
    for row in rows:
        more = int(tokens_of(row)[0])
        if part and size + more > tokens:
            yield part
            part, size = [], 0
        part.append(row)
        size += more
    if part:
        yield part
