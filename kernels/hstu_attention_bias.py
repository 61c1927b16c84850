"""The gradient of the bias of HSTU attention in Triton: a program is a diagonal of tiles.

Tiles whose query block is the same number of blocks after their key block share their distances, so
a program adds up along its diagonal, in registers, in one order. H heads · P relative positions ·
C time buckets · M queries and N keys of a tile · K diagonals · S shares of the sequences.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import hstu_attention_launch as launch
from kernels.hstu_attention_tile import (
    bounds,
    is_visible,
    load_rows,
    score_gradient,
    time_buckets_of,
    weights,
)
from kernels.relative_bias import RelativeBias

SHARES = 16  # of the sequences, at most: more programs, and as many more partial sums


def bias_backward(
    bias: RelativeBias, inputs: launch.Arguments, constants: dict[str, Any], longest: int
) -> tuple[Tensor, Tensor]:
    """The gradients of both tables; `inputs` are what the other backward kernels are given."""
    heads, buckets = bias.time_HC.shape
    sequences = len(inputs[4][0]) - 1
    block, shares = constants["BLOCK"], min(sequences, SHARES)
    diagonals = triton.cdiv(longest, block)
    padded: int = triton.next_power_of_2(buckets)
    sums = torch.empty(0, dtype=torch.float32, device=bias.time_HC.device)
    distance_SHK2N = sums.new_empty(shares, heads, diagonals, 2, block)
    time_SHKC = sums.new_empty(shares, heads, diagonals, padded)
    grid = (diagonals, heads, shares)
    _bias_backward[grid](
        distance_SHK2N, time_SHKC, *inputs, sequences, **constants, PADDED_C=padded
    )
    dposition_HP = _by_position(distance_SHK2N.sum(0), bias.position_HP.shape[1])
    dtime_HC = time_SHKC.sum((0, 2))[:, :buckets]
    return dposition_HP.to(bias.position_HP.dtype), dtime_HC.to(bias.time_HC.dtype)


def _by_position(distance_HK2N: Tensor, positions: int) -> Tensor:
    """[H, P]: sums by distance, with all that is below zero at zero and all beyond P at P - 1.

    Diagonal κ has the distances κN … κN + N - 1, then κN - N … κN - 1.
    """
    block = distance_HK2N.shape[-1]
    upper_HX, lower_HX = (half.flatten(1) for half in distance_HK2N.unbind(2))
    sum_HX = torch.nn.functional.pad(upper_HX, (block, positions))
    sum_HX[:, : lower_HX.shape[1]] += lower_HX
    sum_HX[:, block] += sum_HX[:, :block].sum(1)
    sum_HX = sum_HX[:, block:]
    sum_HX[:, positions - 1] += sum_HX[:, positions:].sum(1)
    return sum_HX[:, :positions]


@triton.jit
def _bias_backward(
    distance_sums,
    time_sums,
    dout,
    q,
    k,
    v,
    sequences,
    bias,
    alpha,
    heads,
    count,
    D: tl.constexpr,
    V: tl.constexpr,
    PADDED_D: tl.constexpr,
    PADDED_V: tl.constexpr,
    BLOCK: tl.constexpr,
    OPERAND: tl.constexpr,
    PADDED_C: tl.constexpr,
):
    """The sums of one diagonal, one head and one share of the sequences."""
    diagonal, h, share = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    upper_N = tl.zeros((BLOCK,), tl.float32)
    lower_N = tl.zeros((BLOCK,), tl.float32)
    time_C = tl.zeros((PADDED_C,), tl.float32)
    local_N = tl.arange(0, BLOCK)

    for b in range(share, count, tl.num_programs(2)):
        start, length, history, scale = bounds(sequences, b)
        for step in range(diagonal, _last(diagonal, length, history, BLOCK)):
            row, column, at_M = _tile(step, diagonal, length, history, BLOCK)
            i_M, j_N = row * BLOCK + local_N, column * BLOCK + local_N
            q_MD = load_rows(q, h, start, i_M, length, D, PADDED_D, OPERAND)
            k_ND = load_rows(k, h, start, j_N, length, D, PADDED_D, OPERAND)
            dout_MV = load_rows(dout, h, start, i_M, length, V, PADDED_V, OPERAND)
            v_NV = load_rows(v, h, start, j_N, length, V, PADDED_V, OPERAND)
            _, slope_MN = weights(q_MD, k_ND, bias, alpha, h, start, i_M, j_N, length, history)
            dscore_MN = score_gradient(dout_MV, v_NV, slope_MN, scale)

            upper, lower = _distance_sums(dscore_MN, at_M)
            upper_N += upper
            lower_N += lower
            bucket_MN = time_buckets_of(bias, start, i_M, j_N, length)
            visible_MN = is_visible(i_M, j_N, length, history)
            time_C += _time_sums(dscore_MN, bucket_MN, visible_MN, PADDED_C)

    part = (share * heads + h) * tl.num_programs(0) + diagonal
    tl.store(distance_sums + part * 2 * BLOCK + local_N, upper_N)
    tl.store(distance_sums + part * 2 * BLOCK + BLOCK + local_N, lower_N)
    tl.store(time_sums + part * PADDED_C + tl.arange(0, PADDED_C), time_C)


@triton.jit
def _last(diagonal, length, history, BLOCK: tl.constexpr):
    """Where the steps of a diagonal end.

    A step is a block of queries; on the main diagonal those with targets only come once more.
    """
    rows = tl.cdiv(length, BLOCK)
    first_of_targets = history // BLOCK + 1
    more = tl.where(diagonal == 0, tl.maximum(rows - first_of_targets, 0), 0)
    return tl.where(diagonal < first_of_targets, rows + more, diagonal)


@triton.jit
def _tile(step, diagonal, length, history, BLOCK: tl.constexpr):
    """The query block and key block of a step, and where its queries stand within their block.

    Targets stand next after the history, hence in its last block, whatever block they are in. What
    comes once more is their block with itself, where each sees itself at a distance of zero.
    """
    rows = tl.cdiv(length, BLOCK)
    standing = history // BLOCK
    local_M = tl.arange(0, BLOCK)
    if step < rows:
        row = step
        block = tl.minimum(row, standing)
        column = block - diagonal
        at_M = tl.minimum(row * BLOCK + local_M, history) - block * BLOCK
    else:
        row = step - rows + standing + 1
        column = row
        at_M = local_M
    return row, column, at_M


@triton.jit
def _distance_sums(x_MN, at_M):
    """[N], twice: sums of a tile by at - j, for 0 … N - 1 and for -N … -1.

    Each row is turned so that column d holds what is d after or N - d before its query.
    """
    N: tl.constexpr = x_MN.shape[1]
    d_N = tl.arange(0, N)
    turned_MN = tl.gather(x_MN, (at_M[:, None] - d_N[None, :]) & (N - 1), 1)
    upper_MN = at_M[:, None] >= d_N[None, :]
    upper_N = tl.sum(tl.where(upper_MN, turned_MN, 0.0), 0)
    return upper_N, tl.sum(tl.where(upper_MN, 0.0, turned_MN), 0)


@triton.jit
def _time_sums(x_MN, bucket_MN, visible_MN, PADDED_C: tl.constexpr):
    """[C]: sums of a tile by bucket; a tile has few buckets, as its times lie close together."""
    c_C = tl.arange(0, PADDED_C)
    sum_C = tl.zeros((PADDED_C,), tl.float32)
    first = tl.min(tl.min(tl.where(visible_MN, bucket_MN, PADDED_C), 1), 0)
    last = tl.max(tl.max(tl.where(visible_MN, bucket_MN, -1), 1), 0)
    for bucket in range(first, last + 1):
        total = tl.sum(tl.sum(tl.where(bucket_MN == bucket, x_MN, 0.0), 1), 0)
        sum_C += tl.where(c_C == bucket, total, 0.0)
    return sum_C
