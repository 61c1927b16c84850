"""The forward of HSTU attention in Triton: a program is a block of queries of one head.

The letters are those of kernels/hstu_attention.py; M queries and N keys of a tile.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import hstu_attention_launch as launch
from kernels.hstu_attention_tile import bounds, load_rows, store_rows, weights
from kernels.relative_bias import RelativeBias


def forward(
    q_THD: Tensor,
    k_THD: Tensor,
    v_THV: Tensor,
    offsets_B1: Tensor,
    longest: int,
    bias: RelativeBias | None,
    targets_B: Tensor | None,
    alpha: float,
    divisor: float | None,
) -> Tensor:
    """out_THV of `hstu_attention`, in the type of the values."""
    out_THV = torch.zeros_like(v_THV)
    constants = launch.constants(q_THD, v_THV)
    heads = q_THD.shape[1]
    grid = ((len(offsets_B1) - 1) * heads, triton.cdiv(longest, constants["BLOCK"]))
    _forward[grid](
        launch.rows(out_THV),
        launch.rows(q_THD),
        launch.rows(k_THD),
        launch.rows(v_THV),
        launch.sequences(offsets_B1, targets_B, divisor),
        launch.biases(bias),
        alpha,
        heads,
        **constants,
    )
    return out_THV


@triton.jit
def _forward(
    out,
    q,
    k,
    v,
    sequences,
    bias,
    alpha,
    heads,
    D: tl.constexpr,
    V: tl.constexpr,
    PADDED_D: tl.constexpr,
    PADDED_V: tl.constexpr,
    BLOCK: tl.constexpr,
    OPERAND: tl.constexpr,
):
    """A block of rows of out, from all keys that they see."""
    b, h = tl.program_id(0) // heads, tl.program_id(0) % heads
    row = tl.num_programs(1) - 1 - tl.program_id(1)  # the last see the most keys: first
    start, length, history, scale = bounds(sequences, b)
    if row * BLOCK >= length:
        return
    i_M = row * BLOCK + tl.arange(0, BLOCK)
    q_MD = load_rows(q, h, start, i_M, length, D, PADDED_D, OPERAND)
    out_MV = tl.zeros((BLOCK, PADDED_V), tl.float32)

    # The history before this block, then the block itself.
    before = tl.minimum(row, tl.cdiv(history, BLOCK))
    for step in range(before + 1):
        j_N = tl.where(step < before, step, row) * BLOCK + tl.arange(0, BLOCK)
        k_ND = load_rows(k, h, start, j_N, length, D, PADDED_D, OPERAND)
        v_NV = load_rows(v, h, start, j_N, length, V, PADDED_V, OPERAND)
        weight_MN, _ = weights(q_MD, k_ND, bias, alpha, h, start, i_M, j_N, length, history)
        out_MV = tl.dot(weight_MN.to(OPERAND), v_NV, out_MV, input_precision="ieee")
    store_rows(out, out_MV * scale, h, start, i_M, length, V)
