"""One step of training: score a batch, then learn from it, on all processes together.

Everything is a sum over the targets of all processes, divided by their number, so that the number
of processes changes nothing but the rounding.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model.batch import SequenceBatch
from model.config import TrainConfig
from model.evaluation.losses import Losses
from model.evaluation.windows import Metric, Windows
from model.exchange import Exchange
from model.negatives import other_contents
from model.recommender import Recommender
from model.scores import RankingScores, RetrievalScores, Scores
from model.tables import Lookup, Tables
from schemas.spec import Spec

TABLES = ("position_HP", "time_HC", "idle_C", "age_C", "heat_HC")
"""Parameters of which a target moves a few entries only."""

TABLE_EPS = 1e-5
"""Of AdamW for them. Where all contents stand in one bucket, its gradient is rounding alone. A
smaller eps would make a whole step of it, and another one on another number of processes."""

BALANCE = 0.01
"""Weight of the experts' balance loss, as in Switch Transformers."""


class Trainer:
    """A model in training: dense weights, tables, optimisers and figures.

    `step` counts the steps done; `tokens` and `sequences` what they were made of, on all
    processes.
    """

    def __init__(
        self, spec: Spec, config: TrainConfig, exchange: Exchange, device: str = "cpu"
    ) -> None:
        self.spec, self.config, self.exchange, self.device = spec, config, exchange, device
        self.model = Recommender(spec, config, exchange.sum_).to(device)
        self.tables = Tables(spec, config, exchange, device)
        self.optimizer = torch.optim.AdamW(
            self._groups(),
            betas=config.optimizer.betas,
            eps=config.optimizer.eps,
            weight_decay=config.optimizer.weight_decay,
            fused=torch.device(device).type == "cuda",
        )
        self.scores: dict[str, Scores] = {}
        if self.model.ranking is not None:
            self.scores["ranking"] = RankingScores(spec, device)
        if self.model.retrieval is not None:
            self.scores["retrieval"] = RetrievalScores(config, exchange, self.tables, device)
        self.losses = Losses(config.tasks_for(spec), device)
        self.windows = Windows(self._metrics(), exchange.sum_)
        self.step = self.tokens = self.sequences = 0

    def learn(
        self, batches: Sequence[SequenceBatch], again: Iterable[Sequence[SequenceBatch]] = ()
    ) -> None:
        """Scores the batches of this process's lanes, then trains on them, and by further updates
        on what is to be learned `again`, which is neither scored nor counted: one step.

        All processes call this together, with as many further updates; of what has no sequences
        nothing is learned.
        """
        batch = self._joined(batches)
        self.tables.advance(batch, self._update(batch, 0))
        for update, more in enumerate(again, start=1):
            self._update(self._joined(more), update)
        self._count(batch)

    def report(self) -> dict[str, float]:
        """The figures since the report before, and over all steps; the same on all processes."""
        return {**self.windows.report(), **self.tables.figures()}

    def _joined(self, batches: Sequence[SequenceBatch]) -> SequenceBatch:
        nothing = [SequenceBatch.empty(self.spec.categories)]
        return SequenceBatch.joined(batches or nothing).to(self.device)

    def _update(self, batch: SequenceBatch, update: int) -> Lookup:
        """One of a step's updates, of which the first also scores; gives what it learned from."""
        seed = self._seed(update)
        others_S = other_contents(
            batch, self.tables.catalogue, self.spec, self.config, seed, self.exchange
        )
        lookup = self.tables.fetch(batch, others_S, sighted=update == 0)
        self.optimizer.zero_grad(set_to_none=True)
        self._loss(batch, lookup, seed, scores=update == 0).backward()
        self._sum_gradients()
        factor = self._pace()
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_rate"] * factor
        self.optimizer.step()
        self.tables.learn(lookup, self.config.optimizer.table_rate * factor)
        return lookup

    def _seed(self, update: int) -> int:
        """What the draws of an update are hashed from; no two have the same."""
        return self.config.seed + 1_000_003 * self.step + 15_485_863 * update

    def _loss(self, batch: SequenceBatch, lookup: Lookup, seed: int, *, scores: bool) -> Tensor:
        """This process's part of the mean loss over all targets."""
        new_only, dropout = self.config.targets == "session", self.config.model.dropout > 0
        sums, balances = {}, torch.zeros((), device=self.device)
        token_TM = self.model.embedding.tokens(batch, lookup)
        for name, task in self.model.tasks():
            positions = task.positions(batch)
            self.model.eval()
            if scores and dropout:
                with torch.no_grad():
                    scored = task(batch, token_TM, self.model.embedding, positions=positions)
                    self.scores[name].add(scored, batch, lookup)
            self.model.train()
            said = task(batch, token_TM, self.model.embedding, seed, positions)
            if scores and not dropout:
                self.scores[name].add(said, batch, lookup)
            sums[name] = said.loss(lookup, new_only)
            balances = balances + said.balance
        if scores:
            self.losses.add(sums)
        return self._mean(sums) + BALANCE * balances

    def _mean(self, sums: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
        """The sum over tasks of the mean over targets, of which this process has a part."""
        counts = self.exchange.sum_(torch.stack([count.detach() for _, count in sums.values()]))
        losses = torch.stack([loss for loss, _ in sums.values()])
        return (losses / counts.clamp(min=1)).sum()

    def _groups(self) -> list[dict[str, Any]]:
        """The parameters with their rates: biases by bucket are tables, and learned as such."""
        named, rates = list(self.model.named_parameters()), self.config.optimizer
        is_table = [name.rpartition(".")[2] in TABLES for name, _ in named]
        return [
            {
                "params": [p for (_, p), table in zip(named, is_table, strict=True) if table == of],
                "full_rate": rates.table_rate if of else rates.rate,
                "eps": TABLE_EPS if of else rates.eps,
            }
            for of in (False, True)
        ]

    def _sum_gradients(self) -> None:
        """Adds up the gradients of all processes; those of what was not used are zero."""
        parameters = list(self.model.parameters())
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if self.exchange.world > 1:
            gradients = [p.grad for p in parameters if p.grad is not None]
            flat = self.exchange.sum_(torch.cat([gradient.flatten() for gradient in gradients]))
            parts = flat.split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def _pace(self) -> float:
        """What the rates are multiplied by: rises from 0 to 1 over the first steps, and falls with
        the root of their number where the settings say so, as of Zinkevich, "Online Convex
        Programming and Generalized Infinitesimal Gradient Ascent", ICML 2003."""
        rates = self.config.optimizer
        warmth = min(1.0, (self.step + 1) / max(rates.warmup_steps, 1))
        decay = 1 + self.step / rates.decay_steps if rates.decay_steps else 1.0
        return warmth / math.sqrt(decay)

    def _count(self, batch: SequenceBatch) -> None:
        counted = torch.tensor([batch.tokens, batch.sequences])
        tokens, sequences = self.exchange.sum_(counted).tolist()
        self.step, self.tokens = self.step + 1, self.tokens + tokens
        self.sequences += sequences

    def _metrics(self) -> dict[str, Metric]:
        found: dict[str, Metric] = {"loss": self.losses}
        for scores in self.scores.values():
            found |= scores.metrics
        return found
