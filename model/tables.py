"""The tables of a spec, asked for all that a batch needs at once: contents, categories, features.

Legend: E contents of a batch, S contents to compare with, N ids, U unique ids, M width.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kernels.freshness_bias import Freshness
from kernels.pooled_rows import pooled_rows
from model.batch import Category, SequenceBatch
from model.candidates import Candidates
from model.config import TrainConfig
from model.exchange import Exchange
from model.views import of_session
from model.vocabulary.catalogue import Catalogue
from model.vocabulary.hashed import embedding_table
from model.vocabulary.id_table import ABSENT
from model.vocabulary.settings import RowwiseAdamW
from model.vocabulary.table import EmbeddingTable, Fetched
from schemas.sequences import CONTENT, FIRST_FEATURE
from schemas.spec import Spec


@dataclass(frozen=True)
class Lookup:
    """What the tables say of a batch, whose contents come first and then the others."""

    content: Fetched
    content_id_E: Tensor
    other_id_S: Tensor
    freshness: Freshness
    of_category: Mapping[str, tuple[Fetched, Category]]
    of_feature: Mapping[str, Fetched]

    @property
    def contents(self) -> int:
        """E."""
        return len(self.content_id_E)

    @property
    def own_EM(self) -> Tensor:
        """The vector of each content of the batch."""
        return self._own_and_other[0]

    @property
    def other_SM(self) -> Tensor:
        """The vectors of the contents to compare with."""
        return self._own_and_other[1]

    @cached_property
    def _own_and_other(self) -> tuple[Tensor, Tensor]:
        vectors_NM = pooled_rows(self.content.vectors_UM, self.content.inverse_N)
        own_EM, other_SM = vectors_NM.split([self.contents, len(self.other_id_S)])
        return own_EM, other_SM

    @property
    def own_freshness(self) -> Freshness:
        """When each content of the batch was first seen and engaged with, before this batch."""
        return self.freshness.part(0, self.contents)

    @property
    def other_freshness(self) -> Freshness:
        """The same of the contents to compare with."""
        return self.freshness.part(self.contents, self.contents + len(self.other_id_S))

    @property
    def known_E(self) -> Tensor:
        """Whether each content has a vector of its own."""
        return self.content.known_N[: self.contents]

    @property
    def first_seen_E(self) -> Tensor:
        """When each content was first seen before this batch, ms; -1 never."""
        return self.content.first_seen_N[: self.contents]

    def category_EM(self, name: str) -> Tensor:
        """The mean of the vectors of each content's ids of a category; zero where it has none."""
        fetched, category = self.of_category[name]
        return pooled(fetched, category)

    def feature_NM(self, name: str) -> Tensor:
        """The vectors of the entries of a feature, in their order in the batch."""
        fetched = self.of_feature[name]
        return pooled_rows(fetched.vectors_UM, fetched.inverse_N)


@dataclass(frozen=True)
class Vectors:
    """What the tables say of a batch that is not learned from."""

    own_EM: Tensor
    of_category: Mapping[str, Tensor]
    of_feature: Mapping[str, Tensor]

    def category_EM(self, name: str) -> Tensor:
        """As of a `Lookup`."""
        return self.of_category[name]

    def feature_NM(self, name: str) -> Tensor:
        """As of a `Lookup`."""
        return self.of_feature[name]


class Tables:
    """A table for contents, one for each category and each feature; and the catalogue, which has
    the contents that can be recommended."""

    def __init__(self, spec: Spec, config: TrainConfig, exchange: Exchange, device: str) -> None:
        self._exchange = exchange
        optimizer = RowwiseAdamW(
            betas=config.optimizer.betas,
            eps=config.optimizer.eps,
            weight_decay=config.optimizer.weight_decay,
        )

        def table(name: str) -> EmbeddingTable:
            width, seed = config.model.width, config.seed
            settings = config.vocabulary
            return embedding_table(name, width, settings, optimizer, exchange, seed, device)

        self.content = table("content")
        self.categories = {
            name: table(f"category:{name}") for name in spec.categories if config.inputs.categories
        }
        self.features = {
            name: table(f"feature:{name}") for name in spec.features if config.inputs.features
        }
        self.feature_types = {
            name: FIRST_FEATURE + number for number, name in enumerate(spec.features)
        }
        self.catalogue = Catalogue(exchange, device)
        self.now_ms = 0

    def all(self) -> Iterator[tuple[str, EmbeddingTable]]:
        """Every table with its name, in one order."""
        yield "content", self.content
        yield from ((f"category:{name}", table) for name, table in self.categories.items())
        yield from ((f"feature:{name}", table) for name, table in self.features.items())

    def fetch(self, batch: SequenceBatch, other_id_S: Tensor, sighted: bool = True) -> Lookup:
        """The vectors for a batch, and of contents to compare with. Where `sighted`, new ids get
        their rows: a content's begins as the mean of its categories. All processes call this
        together."""
        if sighted:
            self._look_at_the_time(batch)
        of_category = {
            name: (
                table.fetch(batch.categories[name].ids_N, self.now_ms, sighted),
                batch.categories[name],
            )
            for name, table in self.categories.items()
        }
        of_feature = {
            name: table.fetch(self._entries(batch, name), self.now_ms, sighted)
            for name, table in self.features.items()
        }
        content_id_E = batch.id_T[batch.tokens_of(CONTENT)]
        all_id_N = torch.cat([content_id_E, other_id_S])
        content = self.content.fetch(
            all_id_N,
            self.now_ms,
            sighted,
            unsighted=len(other_id_S),
            initial=_BeginWithCategories(of_category) if of_category else None,
        )
        return Lookup(
            content,
            content_id_E,
            other_id_S,
            self.catalogue.fresh(all_id_N),
            of_category,
            of_feature,
        )

    def read(self, batch: SequenceBatch) -> Vectors:
        """The vectors for a batch, to ask with and not to learn from; one process only."""
        means = {
            name: _means(table.read(batch.categories[name].ids_N), batch.categories[name])
            for name, table in self.categories.items()
        }
        of_feature = {
            name: table.read(self._entries(batch, name)) for name, table in self.features.items()
        }
        return Vectors(self.content.read(batch.id_T[batch.type_T == CONTENT]), means, of_feature)

    def read_tokens(
        self, type_T: Tensor, id_T: Tensor, categories: Mapping[str, Category]
    ) -> Tensor:
        """The same of each token, added up: [T, M]; zero for an action. The sizes of all tensors
        follow from the arguments' alone. A category has an entry for each token, an empty one for
        what is no content."""
        x_TM = torch.where((type_T == CONTENT).unsqueeze(1), self.content.read(id_T), 0.0)
        for name, table in self.categories.items():
            x_TM = x_TM + _means(table.read(categories[name].ids_N), categories[name])
        for name, table in self.features.items():
            is_entry_T1 = (type_T == self.feature_types[name]).unsqueeze(1)
            x_TM = x_TM + torch.where(is_entry_T1, table.read(id_T.abs()), 0.0)
        return x_TM

    @property
    def changes(self) -> int:
        """How often any table may have been changed."""
        return sum(table.changes for _, table in self.all())

    def learn(self, lookup: Lookup, rate: float) -> None:
        """A step of all rows that were fetched. All processes call this together."""
        fetched = [*(f for f, _ in lookup.of_category.values()), *lookup.of_feature.values()]
        tables = [*self.categories.values(), *self.features.values()]
        for table, each in zip([*tables, self.content], [*fetched, lookup.content], strict=True):
            table.apply(each, rate)

    def advance(self, batch: SequenceBatch, lookup: Lookup) -> None:
        """After a batch: its new contents join the catalogue, and ids that are too old or too many
        go. All processes call this together."""
        known_e = lookup.content_id_E
        if not lookup.content.all_known:
            known_e = known_e[lookup.known_E]
        self.catalogue.add(known_e, self.now_ms)
        new_n = (of_session(batch) & (batch.type_T == CONTENT)).nonzero().squeeze(1)
        self.catalogue.engage(batch.id_T[new_n], batch.time_T[new_n])
        for table in [*self.categories.values(), *self.features.values()]:
            table.evict(self.now_ms)
        self.catalogue.remove(self.content.evict(self.now_ms))

    def candidates(self, sample: int | None, target_id_N: Tensor) -> Candidates:
        """The part of the catalogue that this process scores: its own, or of a sample of it, and
        of the targets of all processes that are in it, what it owns."""
        if sample is None:
            id_R = self.catalogue.ids
        else:
            drawn_R = self.catalogue.sample(self.now_ms, sample)
            target_n = torch.cat(self._exchange.gather(target_id_N))
            target_n = target_n[self.catalogue.place(target_n) != ABSENT]
            id_R = torch.cat([drawn_R, target_n]).unique()
        own_R, vector_RM = self.content.own(id_R.sort().values)
        return Candidates(own_R, vector_RM, self.catalogue.fresh(own_R))

    def figures(self) -> dict[str, float]:
        """How many ids have rows, of all processes, and what these take in memory."""
        figures = {}
        for name, table in self.all():
            counted = torch.tensor([len(table), table.nbytes])
            rows, size = self._exchange.sum_(counted).tolist()
            figures[f"vocabulary/rows/table={name}"] = float(rows)
            figures[f"vocabulary/bytes/table={name}"] = float(size)
        return figures | {"vocabulary/catalogue": float(len(self.catalogue))}

    def _look_at_the_time(self, batch: SequenceBatch) -> None:
        """The time of a step is the latest end of a session in it, of all processes."""
        latest = batch.session_end_B.max() if batch.sequences else torch.tensor(0)
        times = self._exchange.gather(latest.reshape(1))
        self.now_ms = max(self.now_ms, *(int(time) for time in times))

    def _entries(self, batch: SequenceBatch, name: str) -> Tensor:
        """The ids of a feature's entries; one that leaves a set has the member's."""
        return batch.id_T[batch.tokens_of(self.feature_types[name])].abs()


class _BeginWithCategories:
    """Says of contents by their places in a batch: the mean over categories of their means."""

    def __init__(self, of_category: Mapping[str, tuple[Fetched, Category]]) -> None:
        self._of_category = of_category

    def __call__(self, place_n: Tensor) -> Tensor:
        parts = [pooled(fetched, category) for fetched, category in self._of_category.values()]
        mean_EM = torch.stack(parts).mean(0)
        return mean_EM.detach()[place_n]


def pooled(fetched: Fetched, category: Category) -> Tensor:
    """The mean of the vectors of each content's ids, zero where it has none: [E, M]."""
    return pooled_rows(fetched.vectors_UM, fetched.inverse_N, category.offsets_E1)


def _means(vectors_NM: Tensor, category: Category) -> Tensor:
    """The same of vectors that stand one after the other."""
    place_N = torch.arange(len(vectors_NM), device=vectors_NM.device)
    return pooled_rows(vectors_NM, place_N, category.offsets_E1)
