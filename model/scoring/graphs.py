"""Passes through the model as CUDA graphs: one call in place of some twenty a block.

A graph reads and writes the same memory each time. There is one for each of the rounded sizes of a
pass, made when it is first wanted; the rows that fill it up are in no history.

Legend: Q candidates, A actions, W words of a pass.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model.scoring.rows import Sizes

WARMUPS = 2
"""Calls before a capture, in which kernels are compiled and memory is taken."""


@dataclass(frozen=True)
class _Captured:
    """A graph with what it reads and what it writes."""

    graph: torch.cuda.CUDAGraph
    memory_W: Tensor
    logits_QA: Tensor


Run = Callable[[Tensor, Sizes], Tensor]
"""Gives the logits [Q, A] of a pass on a device and its sizes."""


class Graphs:
    """Passes of some sizes; of one `Run`, which is given each time, for it has these graphs."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._captured: dict[Sizes, _Captured] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def replay(self, run: Run, memory_W: Tensor, sizes: Sizes) -> Tensor:
        """What `run` gives for a pass that is on the CPU: [Q, A], until the next call."""
        if sizes not in self._captured:
            self._captured[sizes] = self._capture(run, sizes)
        there = self._captured[sizes]
        there.memory_W.copy_(memory_W, non_blocking=True)
        there.graph.replay()
        return there.logits_QA

    def _capture(self, run: Run, sizes: Sizes) -> _Captured:
        """A graph of a pass in which nothing is new and nobody is asked."""
        memory_W = torch.zeros(sizes.words, dtype=torch.int64, device=self._device)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUPS):
                run(memory_W, sizes)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            logits_QA = run(memory_W, sizes)
        return _Captured(graph, memory_W, logits_QA)
