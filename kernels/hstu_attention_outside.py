"""Rows of tokens outside of all sequences, in Triton: no program of attention writes them.

Clearing the whole of a result before it is written would take as long as writing it.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

PROGRAMS = 64


def new_rows(likes: tuple[Tensor, ...], offsets_B1: Tensor) -> tuple[Tensor, ...]:
    """Room for as many rows as each tensor [T, heads, width] has, of its type; of tokens outside of
    sequences they are zero, others are anything at all.
    """
    made = tuple(torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in likes)
    tokens, widths = len(likes[0]), tuple(x[:1].numel() for x in likes)
    if tokens:
        padded = triton.next_power_of_2(max(*widths, 1))
        _clear[(PROGRAMS,)](made, widths, offsets_B1, len(offsets_B1) - 1, tokens, X=padded)
    return made


@triton.jit
def _clear(rows, widths, offsets, count, tokens, X: tl.constexpr):
    """A share of the rows before the first sequence and after the last."""
    first, last = tl.load(offsets), tl.load(offsets + count)
    outside = first + tokens - last
    x_X = tl.arange(0, X)
    for row in range(tl.program_id(0), outside, tl.num_programs(0)):
        token = tl.where(row < first, row, row - first + last)
        for each in tl.static_range(len(rows)):
            pointer_X = rows[each] + token * widths[each] + x_X
            tl.store(
                pointer_X, tl.zeros((X,), rows[each].dtype.element_ty), mask=x_X < widths[each]
            )
