"""The model: shared embeddings, and for each task a stack of HSTU blocks with its head."""

from collections.abc import Iterator

import torch
from torch import nn

from model.config import TrainConfig
from model.embedding import Embedding
from model.experts import Summed
from model.ranking import Ranking
from model.retrieval import Retrieval
from schemas.failures import UsageError
from schemas.spec import Spec


class Recommender(nn.Module):
    """All that is dense of a model for a spec. Equal seeds give equal weights.

    Ranking (`ranking`) and retrieval (`retrieval`) are there where the settings name them. Raises
    UsageError where the spec gives a task nothing to learn.
    """

    def __init__(self, spec: Spec, config: TrainConfig, summed: Summed | None = None) -> None:
        super().__init__()
        _check(spec, config)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.embedding = Embedding(spec, config.inputs, config.model.width)
            self.ranking = (
                Ranking(spec, config, summed) if "ranking" in config.tasks_for(spec) else None
            )
            self.retrieval = (
                Retrieval(spec, config, summed) if "retrieval" in config.tasks_for(spec) else None
            )

    def tasks(self) -> Iterator[tuple[str, Ranking | Retrieval]]:
        """The tasks that are there, by name."""
        if self.ranking is not None:
            yield "ranking", self.ranking
        if self.retrieval is not None:
            yield "retrieval", self.retrieval


def _check(spec: Spec, config: TrainConfig) -> None:
    if not spec.actions:
        raise UsageError("the spec lists no actions: there is nothing to train on")
    if "retrieval" in config.tasks_for(spec) and not spec.positive:
        wanted = f"list under positive which of {', '.join(spec.actions)} make a content wanted"
        raise UsageError(f"the spec has no positive actions, which retrieval learns from: {wanted}")
