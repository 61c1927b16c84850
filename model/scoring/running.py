"""Histories and candidates of a few users through the model, with a cache between the two.

Legend: T new tokens, Q candidates of a microbatch, B users, M width, A actions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from kernels.cached_keys import QUERIES, CachedKeys, Queries
from model.batch import Category, SequenceBatch
from model.recommender import Recommender
from model.scoring.cache import KeyCache
from model.scoring.graphs import MOST_NEW, Graphs
from model.scoring.history import Request, category_of, part_of
from model.scoring.stack import CachedStack, NewTokens, cached_keys
from model.tables import Tables
from model.views import whole_view

NEW_TOKENS = 32_768
"""Of histories that are computed in one pass, unless one alone has more."""


@dataclass(frozen=True)
class Part:
    """Some candidates, from one number up to another, of a user's request."""

    number: int
    request: Request
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def microbatches(requests: Sequence[Request], most: int) -> Iterator[list[Part]]:
    """The candidates of all requests in order, at most so many at a time."""
    starts = list(accumulate(map(len, requests), initial=0))
    for first in range(0, starts[-1], most):
        last = min(first + most, starts[-1])
        yield [
            Part(number, request, max(first - start, 0), min(last - start, len(request)))
            for number, (start, request) in enumerate(zip(starts, requests, strict=False))
            if max(first, start) < min(last, start + len(request))
        ]


class Running:
    """The model as it is just now, and a cache of what it made of histories."""

    def __init__(
        self, model: Recommender, tables: Tables, stack: CachedStack, graphs: Graphs | None
    ) -> None:
        self._embedding, self._tables = model.embedding, tables
        self._stack, self._graphs = stack, graphs
        self._device = next(model.parameters()).device

    def write(self, histories: Mapping[str, SequenceBatch], cache: KeyCache) -> None:
        """Has keys and values of all tokens of these users' histories in the cache."""
        known = cache.claim(histories)
        new = [user for user, history in histories.items() if history.tokens > known[user]]
        for users in _passes(new, {user: histories[user].tokens - known[user] for user in new}):
            self._extend({user: histories[user] for user in users}, known, cache)
        cache.keep(histories)

    def ask(self, parts: Sequence[Part], cache: KeyCache) -> Tensor:
        """The logits of some candidates of users whose histories have been written: [Q, A]."""
        lengths = [part.request.history.tokens for part in parts]
        rows = [
            torch.tensor([[n], [part.request.now_ms]])
            for n, part in zip(lengths, parts, strict=True)
        ]
        expanded = [row.expand(2, len(part)) for row, part in zip(rows, parts, strict=True)]
        id_Q = torch.cat([part.request.candidate_M[part.start : part.stop] for part in parts])
        given_3Q = torch.cat([torch.cat(expanded, 1), id_Q[None]]).to(self._device)
        position_Q, time_Q, id_Q = given_3Q
        queries = Queries(self._blocks(list(map(len, parts))), position_Q, time_Q)
        cached = self._cached([part.request.user for part in parts], lengths, cache)
        x_QM = self._candidates(parts, id_Q, time_Q)
        if self._graphs is not None:
            return self._graphs.ask(x_QM, queries, cached)
        return self._stack.ask(x_QM, queries, cached, cache)

    @torch.no_grad()
    def _candidates(self, parts: Sequence[Part], id_Q: Tensor, time_Q: Tensor) -> Tensor:
        """The vectors of candidates: [Q, M]."""
        categories = {
            name: Category.joined(
                [category_of(part.request, name, part.start, part.stop) for part in parts]
            ).each(lambda tensor: tensor.to(self._device))
            for name in self._tables.categories
        }
        return self._embedding.candidates(self._tables.read_contents(id_Q, categories), time_Q)

    def _extend(
        self, histories: Mapping[str, SequenceBatch], known: Mapping[str, int], cache: KeyCache
    ) -> None:
        """Computes keys and values of the tokens that are not known."""
        ends = [(user, known[user], each.tokens) for user, each in histories.items()]
        new = [part_of(histories[user], start, stop) for user, start, stop in ends]
        counts, before = [each.tokens for each in new], [start for _, start, _ in ends]
        batch = SequenceBatch.joined(new).to(self._device)
        position_T = torch.cat([torch.arange(start, stop) for _, start, stop in ends])
        row_T = torch.cat([cache.rows(*each) for each in ends])
        position_T, row_T = torch.stack([position_T, row_T]).to(self._device)
        queries = Queries(self._blocks(counts), position_T, batch.time_T)
        cached = self._cached(list(histories), before, cache)
        with torch.no_grad():
            token_TM = self._embedding.tokens(batch, self._tables.read(batch))
            x_TM = self._embedding(batch, token_TM, whole_view(batch))
        if self._graphs is not None and sum(counts) <= MOST_NEW:
            self._graphs.extend(x_TM, batch.offsets_B1, queries, row_T, cached)
            return
        layout = NewTokens(batch.offsets_B1, max(counts), batch.time_T)
        there = cached if any(before) else None
        self._stack.extend(x_TM, layout, queries, row_T, cache, there)

    def _blocks(self, counts: list[int]) -> Tensor:
        blocks = Queries.blocks(counts, QUERIES if self._device.type == "cuda" else None)
        return torch.tensor(blocks, dtype=torch.int32).view(-1, 3).to(self._device)

    def _cached(self, users: list[str], lengths: list[int], cache: KeyCache) -> CachedKeys:
        length_B = torch.tensor(lengths, dtype=torch.int32)
        return cached_keys(cache, cache.table(users).to(self._device), length_B.to(self._device))


def _passes(users: Sequence[str], tokens: Mapping[str, int]) -> Iterator[list[str]]:
    """Users whose new tokens are computed together."""
    some: list[str] = []
    for user in users:
        if some and sum(tokens[each] for each in [*some, user]) > NEW_TOKENS:
            yield some
            some = []
        some.append(user)
    if some:
        yield some
