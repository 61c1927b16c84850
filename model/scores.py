"""What was predicted of the session just completed, added to the figures before it is learned.

Legend: N positions with a target.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from kernels.hashing import key_of, uniform
from model.batch import SequenceBatch
from model.candidates import Asking, standing
from model.config import TrainConfig
from model.evaluation.ages import age_groups
from model.evaluation.ranking import Ranking as RankingFigures
from model.evaluation.retrieval import Retrieval as RetrievalFigures
from model.evaluation.windows import Metric
from model.exchange import Exchange
from model.ranking import Ranked
from model.retrieval import Retrieved
from model.tables import Lookup, Tables
from model.views import content_of
from schemas.sequences import CONTENT
from schemas.spec import Spec

DRAW = key_of(0x5C04E)


class Scores(ABC):
    """The figures of a task, by name."""

    metrics: dict[str, Metric]

    @abstractmethod
    def add(self, said: Any, batch: SequenceBatch, lookup: Lookup) -> None:
        """Adds what the task says of a batch. All processes call this together."""


class RankingScores(Scores):
    """Of every content of the session, how well its actions were foreseen."""

    def __init__(self, spec: Spec, device: str) -> None:
        self._figures = RankingFigures(spec.actions, device)
        self.metrics = {"ranking": self._figures}

    def add(self, said: Ranked, batch: SequenceBatch, lookup: Lookup) -> None:
        """Adds a batch."""
        new = said.new_n
        token_N = said.token_N[new]
        first_seen_N = lookup.first_seen_E[content_of(batch, token_N)]
        ages_N = age_groups(batch.time_T[token_N], first_seen_N)
        self._figures.update(said.logits_NA[new].detach(), said.is_done_NA[new], ages_N)


class RetrievalScores(Scores):
    """Of the wanted contents of the session, how far ahead they were in the catalogue.

    Above a size of the catalogue, ranks are among a sample of it, and are counted apart.
    """

    def __init__(
        self, config: TrainConfig, exchange: Exchange, tables: Tables, device: str
    ) -> None:
        self._settings, self._exchange, self._tables = config.evaluation, exchange, tables
        self._full = RetrievalFigures(device=device)
        self._sampled = RetrievalFigures(config.evaluation.sample, device=device)
        self.metrics = {"retrieval": self._full, "retrieval_sampled": self._sampled}

    def add(self, said: Retrieved, batch: SequenceBatch, lookup: Lookup) -> None:
        """Adds a batch: of the targets of all processes about as many as the settings say."""
        chosen_N = self._chosen(said)
        target_id_N, content_N = said.target_id_N[chosen_N], said.content_N[chosen_N]
        is_full = len(self._tables.catalogue) <= self._settings.full_catalogue
        candidates = self._tables.candidates(
            None if is_full else self._settings.sample, target_id_N
        )
        asking = Asking(said.query_NM[chosen_N], said.now_N[chosen_N], said.bias)
        found = standing(asking, target_id_N, candidates, self._exchange)
        time_E = batch.time_T[batch.tokens_of(CONTENT)]
        ages_N = age_groups(time_E[content_N], lookup.first_seen_E[content_N])
        figures = self._full if is_full else self._sampled
        figures.update(found.rank_N, found.log_probability_N, ages_N, found.candidates)

    def _chosen(self, said: Retrieved) -> Tensor:
        """Places of new targets, drawn by a hash where those of all processes are too many."""
        place_n = said.new_n
        all_of_them = int(self._exchange.sum_(torch.tensor(len(place_n))))
        share = self._settings.positions / max(all_of_them, 1)
        if share >= 1:
            return place_n
        draw_n = uniform(DRAW, said.now_N[place_n], said.target_id_N[place_n])
        return place_n[draw_n < share]
