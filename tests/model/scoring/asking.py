"""A small model that has learned a little, and requests to it."""

from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from model.batch import Category, SequenceBatch
from model.config import TrainConfig
from model.exchange import Exchange
from model.reader.rows import batch_of
from model.recommender import Recommender
from model.scoring import running
from model.scoring import scorer as scoring
from model.scoring.graphs import Run
from model.scoring.history import Request, contents_of, joined
from model.scoring.rows import Sizes
from model.scoring.running import Running
from model.scoring.scorer import Scorer, Serving
from model.tables import Tables
from model.trainer import Trainer
from schemas.sequences import sequence_schema
from tests.model import shop

NOW = shop.BEGIN + 100 * 3_600_000
BLOCKS = {"width": 16, "blocks": 3, "heads": 2, "query_width": 8, "value_width": 4, "positions": 20}
BYTES = 1 << 20


def trained(**settings: Any) -> Trainer:
    """A few steps at a high rate, after which biases are not zero any more."""
    written = {"model": BLOCKS, "retrieval": {"negatives": 4}, **settings}
    optimizer = {"rate": 0.05, "table_rate": 0.2}
    config = TrainConfig.model_validate({"optimizer": optimizer, **written})
    trainer = Trainer(shop.SPEC, config, Exchange.alone())
    for _ in range(3):
        learn(trainer)
    return trainer


def learn(trainer: Trainer) -> None:
    trainer.learn([batch_of([shop.rows(4, 3)])])


def in_float64(trainer: Trainer) -> Trainer:
    """The same with weights and vectors in float64."""
    for _, table in trainer.tables.all():
        rows = table._shard.rows
        rows.vector_RM = rows.vector_RM.double()
    trainer.model.double()
    assert trainer.model.ranking is not None
    trainer.model.ranking.stack.precision = torch.float64
    return trainer


def scorer(trainer: Trainer, **serving: Any) -> Scorer:
    """One with a small cache and microbatches of five."""
    settings = Serving(**{"microbatch": 5, "cache_bytes": BYTES, **serving})
    return Scorer(shop.SPEC, trainer.model, trainer.tables, settings)


class AsGraphs:
    """As `Graphs`, but called anew each time: so a pass has rounded sizes on the CPU, too. Before
    its first one it runs on nothing, as a capture does."""

    def __init__(self, device: torch.device) -> None:
        self._seen = set[Sizes]()

    def replay(self, run: Run, memory_W: Tensor, sizes: Sizes) -> Tensor:
        if sizes not in self._seen:
            run(torch.zeros_like(memory_W), sizes)
        self._seen.add(sizes)
        return run(memory_W.clone(), sizes)

    @classmethod
    def instead(cls, patch: pytest.MonkeyPatch) -> None:
        """Has scorers use this."""
        patch.setattr(running, "Graphs", cls)
        patch.setattr(scoring, "Running", lambda *parts, graphs: Running(*parts, graphs=True))


def history(contents: int, number: int = 0) -> SequenceBatch:
    """A sequence with entries of features, members of a set, and categories."""
    made = shop.row("anybody", number, contents)
    return batch_of([pa.RecordBatch.from_pylist([made], sequence_schema(shop.SPEC))])


def nothing() -> SequenceBatch:
    return SequenceBatch.empty(shop.SPEC.categories)


def request(
    user: str, of: SequenceBatch, candidates: int = 7, seed: int = 0, now_ms: int = NOW
) -> Request:
    """Some known contents and some unknown ones, with up to two ids of a category each."""
    chance = torch.Generator().manual_seed(seed)
    id_M = torch.randint(1, 2 * shop.CONTENTS, (candidates,), generator=chance)
    counts_M = torch.randint(0, 3, (candidates,), generator=chance)
    ids_N = torch.randint(1, 6, (int(counts_M.sum()),), generator=chance)
    offsets_E1 = torch.cat([counts_M.new_zeros(1), counts_M.cumsum(0)])
    return Request(user, of, id_M, now_ms, {"topic": Category(ids_N, offsets_E1)})


@torch.no_grad()
def alone(model: Recommender, tables: Tables, asked: Request) -> Tensor:
    """The model itself, as it is trained: each candidate by itself behind the history."""
    assert model.ranking is not None
    model.eval()
    found = []
    for number in range(len(asked)):
        content = contents_of(asked, number, number + 1, tuple(asked.history.categories))
        batch = joined(asked.history, content)
        lookup = tables.fetch(batch, batch.id_T[:0], sighted=False)
        found.append(
            model.ranking(batch, model.embedding.tokens(batch, lookup), model.embedding).logits_NA[
                -1
            ]
        )
    return torch.stack(found)
