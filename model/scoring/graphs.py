"""Passes through the model as CUDA graphs: one call in place of some ten a block.

A graph reads and writes the same memory each time. There is one for each power of two of
candidates, and of new tokens, made when it is first wanted; what fills it up is in no block and in
no history.

Legend: Q candidates, T new tokens, B histories, B1 = B + 1, M width, A actions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.cached_keys import QUERIES, CachedKeys, Queries
from model.scoring.cache import NOWHERE, KeyCache
from model.scoring.stack import CachedStack, NewTokens, cached_keys

FEWEST = 64
MOST_NEW = 1_024
"""New tokens of a graph; with more the calls cost little beside what they do."""

WARMUPS = 2
"""Calls before a capture, in which kernels are compiled and memory is taken."""


@dataclass(frozen=True)
class _Inputs:
    """What a graph reads; `row_Q` and `offsets_B1` are of new tokens only."""

    x_QM: Tensor
    queries: Queries
    row_Q: Tensor
    offsets_B1: Tensor

    @classmethod
    def empty(cls, size: int, histories: int, like_QM: Tensor) -> "_Inputs":
        """Of so many rows, none of which is in a block."""
        zero_Q = torch.zeros(size, dtype=torch.int64, device=like_QM.device)
        blocks = size // QUERIES + histories
        block_N3 = torch.zeros(blocks, 3, dtype=torch.int32, device=like_QM.device)
        return cls(
            like_QM.new_zeros(size, like_QM.shape[1]),
            Queries(block_N3, zero_Q, zero_Q.clone()),
            zero_Q.clone(),
            zero_Q.new_zeros(histories + 1),
        )

    def fill(self, x_QM: Tensor, queries: Queries) -> None:
        """Takes over rows and what they ask."""
        count, blocks = len(x_QM), len(queries.block_N3)
        self.x_QM[:count] = x_QM
        self.queries.block_N3[:blocks] = queries.block_N3
        self.queries.block_N3[blocks:, 1] = 0
        self.queries.position_Q[:count] = queries.position_Q
        self.queries.time_Q[:count] = queries.time_Q


@dataclass(frozen=True)
class _Captured:
    """A graph with what it reads and what it writes: of candidates their logits."""

    graph: torch.cuda.CUDAGraph
    inputs: _Inputs
    logits_QA: Tensor


class Graphs:
    """`ask` and `extend` of a `CachedStack`, of at most so many histories at a time."""

    def __init__(self, stack: CachedStack, cache: KeyCache, histories: int) -> None:
        self._stack, self._cache, self._histories = stack, cache, histories
        device = cache.time_R.device
        page_BX = torch.zeros(histories, cache.most_pages, dtype=torch.int32, device=device)
        self._cached = cached_keys(cache, page_BX, page_BX.new_zeros(histories))
        self._captured: dict[tuple[str, int], _Captured] = {}
        self._memory = torch.cuda.graph_pool_handle()

    def ask(self, x_QM: Tensor, queries: Queries, cached: CachedKeys) -> Tensor:
        """The logits of candidates: [Q, A]."""
        there = self._wanted("ask", x_QM)
        there.inputs.fill(x_QM, queries)
        self._look_at(cached)
        there.graph.replay()
        return there.logits_QA[: len(x_QM)].clone()

    def extend(
        self,
        x_TM: Tensor,
        offsets_B1: Tensor,
        queries: Queries,
        row_T: Tensor,
        cached: CachedKeys,
    ) -> None:
        """Writes keys and values of at most MOST_NEW new tokens."""
        there = self._wanted("extend", x_TM)
        there.inputs.fill(x_TM, queries)
        there.inputs.row_Q[: len(row_T)] = row_T
        there.inputs.row_Q[len(row_T) :] = NOWHERE
        there.inputs.offsets_B1[: len(offsets_B1)] = offsets_B1
        there.inputs.offsets_B1[len(offsets_B1) :] = len(row_T)
        self._look_at(cached)
        there.graph.replay()

    def _look_at(self, cached: CachedKeys) -> None:
        histories = len(cached.length_B)
        self._cached.page_BX[:histories] = cached.page_BX
        self._cached.length_B[:histories] = cached.length_B

    def _wanted(self, what: str, x_QM: Tensor) -> _Captured:
        """The graph for so many rows."""
        size = max(FEWEST, 1 << (len(x_QM) - 1).bit_length())
        if (what, size) not in self._captured:
            inputs = _Inputs.empty(size, self._histories, x_QM)
            run = self._asking(inputs) if what == "ask" else self._extending(inputs)
            self._captured[what, size] = self._capture(inputs, run)
        return self._captured[what, size]

    def _asking(self, inputs: _Inputs) -> Callable[[], Tensor]:
        return lambda: self._stack.ask(inputs.x_QM, inputs.queries, self._cached, self._cache)

    def _extending(self, inputs: _Inputs) -> Callable[[], Tensor]:
        new = NewTokens(inputs.offsets_B1, len(inputs.x_QM), inputs.queries.time_Q)
        rest = (inputs.queries, inputs.row_Q, self._cache, self._cached)

        def run() -> Tensor:
            self._stack.extend(inputs.x_QM, new, *rest)
            return inputs.row_Q

        return run

    def _capture(self, inputs: _Inputs, run: Callable[[], Tensor]) -> _Captured:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUPS):
                run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._memory):
            logits_QA = run()
        return _Captured(graph, inputs, logits_QA)
