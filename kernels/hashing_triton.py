"""The hashes of `hashing` inside Triton's kernels, bit for bit.

T rows, M columns.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import hashing

GAMMA = tl.constexpr(hashing.GAMMA - (1 << 64))
FIRST = tl.constexpr(hashing.FIRST - (1 << 64))
SECOND = tl.constexpr(hashing.SECOND - (1 << 64))
UNIFORM_SHIFT = tl.constexpr(64 - hashing.UNIFORM_BITS)
UNIFORM_MASK = tl.constexpr((1 << hashing.UNIFORM_BITS) - 1)
UNIFORM_UNIT = tl.constexpr(2.0**-hashing.UNIFORM_BITS)
ENTRIES = 1024
"""Of the result, that a program writes."""


def drawn_rows(key: int, row_T: Tensor, columns: int) -> Tensor:
    """As `uniform_rows`."""
    draw_TM = torch.empty(len(row_T), columns, dtype=torch.float32, device=row_T.device)
    grid = (triton.cdiv(draw_TM.numel(), ENTRIES),)
    if draw_TM.numel():
        _drawn_rows[grid](
            draw_TM, row_T.contiguous(), hashing.key_of(key), len(row_T), columns, SIZE=ENTRIES
        )
    return draw_TM


@triton.jit(do_not_specialize=["key", "rows"])
def _drawn_rows(draw_ptr, row_ptr, key, rows, columns, SIZE: tl.constexpr):
    at_N = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    row_N = at_N // columns
    column_N = at_N - row_N * columns
    row_N = tl.load(row_ptr + row_N, mask=row_N < rows, other=0)
    hash_N = mixed(mixed(row_N ^ key.to(tl.int64)) ^ column_N)
    tl.store(draw_ptr + at_N, uniform_of(hash_N), mask=at_N < rows.to(tl.int64) * columns)


@triton.jit
def mixed(state):
    """What SplitMix64 gives from states (int64): `hashed(key, a, b)` is
    `mixed(mixed(key_of(key) ^ a) ^ b)`."""
    state += GAMMA
    state = (state ^ ((state >> 30) & ((1 << 34) - 1))) * FIRST
    state = (state ^ ((state >> 27) & ((1 << 37) - 1))) * SECOND
    return state ^ ((state >> 31) & ((1 << 33) - 1))


@triton.jit
def uniform_of(hash):
    """The float32 in [0, 1) that `uniform` makes of a hash."""
    return ((hash >> UNIFORM_SHIFT) & UNIFORM_MASK).to(tl.float32) * UNIFORM_UNIT
