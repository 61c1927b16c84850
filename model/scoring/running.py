"""Requests of a few users through the model, with a cache between histories and candidates.

Legend: Q candidates, A actions, W words of a pass.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from model.batch import SequenceBatch
from model.recommender import Recommender
from model.scoring.cache import KeyCache
from model.scoring.graphs import Graphs
from model.scoring.history import Request, part_of
from model.scoring.packing import New, Packing, passes
from model.scoring.rows import Rows, Sizes
from model.scoring.stack import CachedStack
from model.tables import Tables

MOST_ROWS = 16_384
"""Of a graph; with more the calls cost little beside what they do."""


class Running:
    """The model as it is just now, and a cache of what it made of histories. Passes of at most
    `histories` of these; with `graphs` they are CUDA graphs, where that is worth it."""

    def __init__(
        self,
        model: Recommender,
        tables: Tables,
        stack: CachedStack,
        cache: KeyCache,
        histories: int,
        *,
        graphs: bool,
    ) -> None:
        self._embedding, self._tables, self._stack = model.embedding, tables, stack
        self._cache, self._histories = cache, histories
        self._device, self._names = cache.time_R.device, tuple(tables.categories)
        self._graphs = Graphs(self._device) if graphs else None

    def logits(self, requests: Sequence[Request], microbatch: int) -> list[Tensor]:
        """The logits of different users' candidates, so many of them at a time, one after the
        other: [Q, A] each. Their histories must have room together."""
        histories = {request.user: request.history for request in requests}
        known = self._cache.claim(histories)
        page_BX = self._cache.table(histories)
        lengths = [history.tokens for history in histories.values()]
        found = [
            self._of_pass(Packing(each, page_BX, lengths, self._names))
            for each in passes(list(self._new(histories, known)), requests, microbatch)
        ]
        self._cache.keep(histories)
        return found

    def _new(
        self, histories: Mapping[str, SequenceBatch], known: Mapping[str, int]
    ) -> Iterator[New]:
        """What is not known of histories."""
        for number, (user, history) in enumerate(histories.items()):
            start, stop = known[user], history.tokens
            if start < stop:
                tokens = part_of(history, start, stop) if start else history
                yield New(number, start, tokens, self._cache.rows(user, start, stop))

    def _of_pass(self, packing: Packing) -> Tensor:
        exact = packing.sizes
        rounded = exact.rounded(self._histories)
        if self._graphs is None or not _is_worth_it(rounded):
            return self._run(self._packed(packing, exact).to(self._device), exact)
        logits_QA = self._graphs.replay(self._run, self._packed(packing, rounded), rounded)
        return logits_QA[: exact.candidates].clone()

    def _packed(self, packing: Packing, sizes: Sizes) -> Tensor:
        """A pass in one piece of memory, from which a GPU copies by itself."""
        pinned = self._device.type == "cuda"
        memory_W = torch.empty(sizes.words, dtype=torch.int64, pin_memory=pinned)
        memory_W.numpy().fill(0)  # by one thread: PyTorch's several would wait for one another
        packing.into(Rows.over(memory_W, sizes, self._names))
        return memory_W

    @torch.no_grad()
    def _run(self, memory_W: Tensor, sizes: Sizes) -> Tensor:
        """The logits of a pass that is on the device."""
        rows = Rows.over(memory_W, sizes, self._names)
        columns = (rows.type_R, rows.id_R, rows.time_R)
        x_RM = self._embedding.of_tokens(*columns, self._tables, rows.categories)
        return self._stack.run(x_RM, rows, self._cache)


def _is_worth_it(sizes: Sizes) -> bool:
    """Whether a graph is faster. Of many new tokens of several histories it would go through tiles
    of the longest that each could be."""
    return sizes.rows <= MOST_ROWS and (sizes.histories == 1 or not sizes.many)
