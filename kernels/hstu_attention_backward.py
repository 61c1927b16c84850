"""The backward of HSTU attention in Triton, without atomics: each kernel adds up in one order.

One kernel has a program a block of queries, and one a block of keys; both compute scores anew. The
bias has a kernel of its own (kernels/hstu_attention_bias.py). The letters are those of
kernels/hstu_attention.py; M queries and N keys of a tile.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import hstu_attention_launch as launch
from kernels.hstu_attention_bias import bias_backward
from kernels.hstu_attention_tile import bounds, load_rows, score_gradient, store_rows, weights
from kernels.relative_bias import RelativeBias


def backward(
    dout_THV: Tensor,
    q_THD: Tensor,
    k_THD: Tensor,
    v_THV: Tensor,
    offsets_B1: Tensor,
    longest: int,
    bias: RelativeBias | None,
    targets_B: Tensor | None,
    alpha: float,
    divisor: float | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Gradients of queries, keys, values and, where there is a bias, of its two tables."""
    dq_THD, dk_THD, dv_THV = (torch.zeros_like(x) for x in (q_THD, k_THD, v_THV))
    constants = launch.constants(q_THD, v_THV)
    heads = q_THD.shape[1]
    inputs = (
        *(launch.rows(x) for x in (dout_THV, q_THD, k_THD, v_THV)),
        launch.sequences(offsets_B1, targets_B, divisor),
        launch.biases(bias),
        alpha,
        heads,
    )
    grid = ((len(offsets_B1) - 1) * heads, triton.cdiv(longest, constants["BLOCK"]))
    _query_backward[grid](launch.rows(dq_THD), *inputs, **constants)
    _key_backward[grid](launch.rows(dk_THD), launch.rows(dv_THV), *inputs, **constants)
    tables = (None, None) if bias is None else bias_backward(bias, inputs, constants, longest)
    return dq_THD, dk_THD, dv_THV, *tables


@triton.jit
def _query_backward(
    dq,
    dout,
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
    """A block of rows of dq, from all keys that they see."""
    b, h = tl.program_id(0) // heads, tl.program_id(0) % heads
    row = tl.num_programs(1) - 1 - tl.program_id(1)  # the last see the most keys: first
    start, length, history, scale = bounds(sequences, b)
    if row * BLOCK >= length:
        return
    i_M = row * BLOCK + tl.arange(0, BLOCK)
    q_MD = load_rows(q, h, start, i_M, length, D, PADDED_D, OPERAND)
    dout_MV = load_rows(dout, h, start, i_M, length, V, PADDED_V, OPERAND)
    dq_MD = tl.zeros((BLOCK, PADDED_D), tl.float32)

    # The history before this block, then the block itself.
    before = tl.minimum(row, tl.cdiv(history, BLOCK))
    for step in range(before + 1):
        j_N = tl.where(step < before, step, row) * BLOCK + tl.arange(0, BLOCK)
        k_ND = load_rows(k, h, start, j_N, length, D, PADDED_D, OPERAND)
        v_NV = load_rows(v, h, start, j_N, length, V, PADDED_V, OPERAND)
        _, slope_MN = weights(q_MD, k_ND, bias, alpha, h, start, i_M, j_N, length, history)
        dscore_MN = score_gradient(dout_MV, v_NV, slope_MN, scale)
        dq_MD = tl.dot(dscore_MN.to(OPERAND), k_ND, dq_MD, input_precision="ieee")
    store_rows(dq, dq_MD * alpha, h, start, i_M, length, D)


@triton.jit
def _key_backward(
    dk,
    dv,
    dout,
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
    """A block of rows of dk and dv, from all queries that see them."""
    b, h = tl.program_id(0) // heads, tl.program_id(0) % heads
    column = tl.program_id(1)  # the first are seen by the most queries
    start, length, history, scale = bounds(sequences, b)
    if column * BLOCK >= length:
        return
    j_N = column * BLOCK + tl.arange(0, BLOCK)
    k_ND = load_rows(k, h, start, j_N, length, D, PADDED_D, OPERAND)
    v_NV = load_rows(v, h, start, j_N, length, V, PADDED_V, OPERAND)
    dk_ND = tl.zeros((BLOCK, PADDED_D), tl.float32)
    dv_NV = tl.zeros((BLOCK, PADDED_V), tl.float32)

    # Targets alone are seen by nothing but themselves.
    last = tl.where(column * BLOCK < history, tl.cdiv(length, BLOCK), column + 1)
    for row in range(column, last):
        i_M = row * BLOCK + tl.arange(0, BLOCK)
        q_MD = load_rows(q, h, start, i_M, length, D, PADDED_D, OPERAND)
        dout_MV = load_rows(dout, h, start, i_M, length, V, PADDED_V, OPERAND)
        silu_MN, slope_MN = weights(q_MD, k_ND, bias, alpha, h, start, i_M, j_N, length, history)
        dscore_MN = score_gradient(dout_MV, v_NV, slope_MN, scale)
        dv_NV = tl.dot(tl.trans(silu_MN).to(OPERAND), dout_MV, dv_NV, input_precision="ieee")
        dk_ND = tl.dot(tl.trans(dscore_MN).to(OPERAND), q_MD, dk_ND, input_precision="ieee")
    store_rows(dk, dk_ND * alpha, h, start, j_N, length, D)
    store_rows(dv, dv_NV * scale, h, start, j_N, length, V)
