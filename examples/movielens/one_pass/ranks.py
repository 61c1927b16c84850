"""Where each content of a session stood before it was learned: among all, and among the unseen.

Legend: B sequences, E contents of a batch, Q targets, R contents of the catalogue.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from model.batch import SequenceBatch
from model.candidates import Asking
from model.evaluation.retrieval import candidates_ahead
from model.retrieval import Retrieved
from model.tables import Lookup
from model.trainer import Trainer
from model.views import sequence_of
from schemas.sequences import CONTENT

COLUMNS = ("session_end", "time", "content", "place", "rank", "rank_unseen", "step")
"""Of a target, all int64: ms, ms, id; how many contents the user had before; ranks from 1, among
all candidates and among those that the user had not before, 0 where it was none; steps so far."""


@dataclass
class Ranks:
    """The ranks of targets, step by step: int64 [COLUMNS, Q] each."""

    parts: list[Tensor] = field(default_factory=list)

    def table(self) -> pa.Table:
        """All that there is by now, in the order in which it was scored."""
        none = torch.zeros((len(COLUMNS), 0), dtype=torch.int64)
        joined = torch.cat([none, *(part.cpu() for part in self.parts)], 1)
        self.parts[:] = [joined]
        return pa.table(dict(zip(COLUMNS, joined.numpy(), strict=True)))

    def write(self, file: Path) -> None:
        """As Parquet, in the place of what was written before."""
        part = file.with_suffix(".part")
        pq.write_table(self.table(), part, compression="zstd")
        part.rename(file)


@torch.no_grad()
def ranks_of(trainer: Trainer, said: Retrieved, batch: SequenceBatch, of_B: Tensor) -> Tensor:
    """Where the contents of the sessions just completed stand in the catalogue: [COLUMNS, Q].

    `of_B` says of which sequences. One process only. Ties, and NaN, are counted against a target,
    as in the trainer's figures.
    """
    sequence_E = _sequence_of_contents(batch)
    new_Q = said.new_n[of_B[sequence_E[said.content_N[said.new_n]]]]
    target_Q, content_Q = said.target_id_N[new_Q], said.content_N[new_Q]
    candidates = trainer.tables.candidates(None, target_Q)
    asking = Asking(said.query_NM[new_Q], said.now_N[new_Q], said.bias)
    score_QR = asking.scores(candidates, 0, len(candidates.id_R))
    first_B = torch.searchsorted(sequence_E, torch.arange(batch.sequences, device=target_Q.device))
    unseen_QR = ~seen(batch, sequence_E, candidates.id_R, content_Q)
    column_Q = columns(candidates.id_R, target_Q)
    return torch.stack(
        [
            batch.session_end_B[sequence_E[content_Q]],
            said.now_N[new_Q],
            target_Q,
            content_Q - first_B[sequence_E[content_Q]],
            rank(score_QR, column_Q, torch.ones_like(unseen_QR)),
            rank(score_QR, column_Q, unseen_QR),
            torch.full_like(target_Q, trainer.step),
        ]
    )


@torch.no_grad()
def asked(trainer: Trainer, batch: SequenceBatch) -> Tensor:
    """The same of a batch that is not learned: nothing of it is taken note of."""
    task = trainer.model.retrieval
    if task is None:
        raise ValueError("the model has no retrieval task")
    lookup: Lookup = trainer.tables.fetch(batch, batch.id_T[:0], sighted=False)
    trainer.model.eval()
    said = task(batch, trainer.model.embedding.tokens(batch, lookup), trainer.model.embedding)
    every_B = torch.ones(batch.sequences, dtype=torch.bool, device=batch.id_T.device)
    return ranks_of(trainer, said, batch, every_B)


def rank(score_QR: Tensor, column_Q: Tensor, among_QR: Tensor) -> Tensor:
    """From 1, among those candidates; 0 where the target, in column -1, is none: int64 [Q]."""
    if not score_QR.shape[1]:
        return torch.zeros_like(column_Q)
    own_Q = score_QR.gather(1, column_Q.clamp(min=0).unsqueeze(1)).squeeze(1)
    lower_QR = score_QR.masked_fill(~among_QR, -torch.inf)
    return torch.where(column_Q >= 0, 1 + candidates_ahead(lower_QR, own_Q, column_Q), 0)


def seen(batch: SequenceBatch, sequence_E: Tensor, id_R: Tensor, content_Q: Tensor) -> Tensor:
    """Which candidates a history has before each target, by its number: bool [Q, R]."""
    content_id_E = batch.id_T[batch.type_T == CONTENT]
    column_E = columns(id_R, content_id_E)
    there_E = column_E >= 0
    place_E = torch.arange(len(column_E), device=column_E.device)
    first_BR = torch.full(
        (batch.sequences, len(id_R)), len(column_E), dtype=torch.int64, device=column_E.device
    )
    at_E = (sequence_E * len(id_R) + column_E)[there_E]
    first_BR.view(-1).scatter_reduce_(0, at_E, place_E[there_E], "amin")
    return first_BR[sequence_E[content_Q]] < content_Q.unsqueeze(1)


def columns(id_R: Tensor, id_n: Tensor) -> Tensor:
    """Where ids stand among ascending ones; -1 where they do not."""
    if not len(id_R):
        return torch.full_like(id_n, -1)
    place_n = torch.searchsorted(id_R, id_n).clamp(max=len(id_R) - 1)
    return torch.where(id_R[place_n] == id_n, place_n, -1)


def _sequence_of_contents(batch: SequenceBatch) -> Tensor:
    sequence_T: Tensor = sequence_of(batch.offsets_B1, batch.tokens)
    return sequence_T[batch.type_T == CONTENT]
