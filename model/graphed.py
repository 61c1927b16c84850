"""A stack of blocks in training as CUDA graphs: one call forward and one backward, in place of some
seventy a block, each of which Python would have to ask for.

A graph has fixed shapes. So a batch is filled up to one of a few sizes: with positions that are in
no sequence, of which nothing is learned, and with sequences that have no positions. That changes
what comes out by the rounding of sums alone, and it is done before there is a graph, too, so that
what is learned does not depend on which graphs there are.

Legend: B1 sequences + 1, F positions of all of them, M width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as fn
from torch import Tensor, nn

from kernels.implementations import is_triton
from model.config import Blocks
from model.hstu import Hstu, Layout

MOST = 16
"""Graphs that are kept of a stack; the one that was used longest ago goes first."""

STEPS = 8
"""Sizes of a batch in an octave: at most an eighth is filled up."""

LEAST, FACTOR = 64, 2
"""The least number of sequences, and length of the longest, and how far apart the next ones are.
Attention has programs for all tiles of so many sequences of such a length, those that are not
there, too; each ends at once, but with sizes four times apart they took half of its time."""


class Sizes(NamedTuple):
    """What a batch is filled up to: positions, sequences, and the longest one's length."""

    positions: int
    sequences: int
    longest: int

    @classmethod
    def of(cls, positions: int, layout: Layout) -> "Sizes":
        """The sizes for a layout."""
        sequences = len(layout.offsets_B1) - 1
        return cls(rounded(positions), _far_apart(sequences), _far_apart(layout.longest))

    def filled(self, x_FM: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x, offsets, and the times of queries and keys, in these sizes."""
        more, ends = self.positions - len(x_FM), self.sequences + 1 - len(layout.offsets_B1)
        return (
            fn.pad(x_FM, (0, 0, 0, more)),
            torch.cat([layout.offsets_B1, layout.offsets_B1[-1:].expand(ends)]),
            fn.pad(layout.query_time_F, (0, more)),
            fn.pad(layout.key_time_F, (0, more)),
        )


def rounded(positions: int) -> int:
    """The next of STEPS sizes in an octave that is not below a number above zero."""
    grain = max((1 << (positions - 1).bit_length()) // (2 * STEPS), 1)
    return -(-positions // grain) * grain


def _far_apart(number: int) -> int:
    size = LEAST
    while size < number:
        size *= FACTOR
    return size


class Graphed:
    """A stack that is called as it is, but by graphs where these can be: in training on a GPU, with
    our kernels, and with neither dropout, whose draws differ from step to step, nor experts, whose
    sizes do. A graph is made when its sizes come for the second time."""

    def __init__(self, stack: Hstu) -> None:
        self._stack = stack
        self._made: dict[Sizes, Callable[..., Tensor] | None] = {}
        self._memory: Any = None

    def __call__(self, x_FM: Tensor, layout: Layout, seed: int = 0) -> tuple[Tensor, Tensor]:
        """As the stack's own."""
        learns = self._stack.training and torch.is_grad_enabled()
        if not (learns and len(x_FM) and is_fixed(x_FM, self._stack.shape)):
            found: tuple[Tensor, Tensor] = self._stack(x_FM, layout, seed)
            return found
        sizes = Sizes.of(len(x_FM), layout)
        given = sizes.filled(x_FM, layout)
        return self._of(sizes, given)(*given)[: len(x_FM)], x_FM.new_zeros(())

    def _of(self, sizes: Sizes, given: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        """What is called for these sizes."""
        stack, is_first = Filled(self._stack, sizes.longest), sizes not in self._made
        made = self._made.pop(sizes, None)
        if not is_first and made is None:
            made = self._captured(stack, given)
        self._made[sizes] = made
        for longest_ago in list(self._made)[:-MOST]:
            del self._made[longest_ago]
        return made or stack

    def _captured(self, stack: "Filled", given: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        # All graphs of a stack share memory: none is between forward and backward with another.
        self._memory = self._memory or torch.cuda.graph_pool_handle()
        x_FM, *rest = (tensor.detach().clone() for tensor in given)
        arguments = (x_FM.requires_grad_(given[0].requires_grad), *rest)
        captured = torch.cuda.make_graphed_callables(
            stack, arguments, num_warmup_iters=1, allow_unused_input=True, pool=self._memory
        )
        return cast(Callable[..., Tensor], captured)


class Filled(nn.Module):
    """A stack as a graph is made of it: of tensors alone, for a longest sequence."""

    def __init__(self, stack: Hstu, longest: int) -> None:
        super().__init__()
        self.stack, self._longest = stack, longest

    def forward(
        self, x_FM: Tensor, offsets_B1: Tensor, query_time_F: Tensor, key_time_F: Tensor
    ) -> Tensor:
        """What each position knows: [F, M]."""
        layout = Layout(offsets_B1, self._longest, query_time_F, key_time_F)
        known_FM: Tensor = self.stack(x_FM, layout)[0]
        return known_FM


def is_fixed(x_FM: Tensor, shape: Blocks) -> bool:
    """Whether a stack asks a GPU for the same kernels whatever is in its tensors."""
    is_simple = shape.attention == "pointwise" and not shape.dropout and not shape.experts
    return x_FM.is_cuda and is_simple and is_triton(x_FM, None)
