"""The gradients of the bias of HSTU attention in Triton, in one order of sums.

Tiles of few buckets are added up where their scores are (kernels/hstu_attention_backward.py). Of
the others, those of the band of tiles along the diagonal left the gradients of their scores in
memory: kernels/hstu_attention_band.py adds these up. What is left, tiles with targets and far tiles
of many buckets, is computed anew, bucket by bucket.

H heads · C time buckets · M queries and N keys of a tile · E its elements · A tiles of the band,
from the diagonal on · S shares of the blocks · P parts of a tile's keys · W distances in one.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import hstu_attention_launch as launch
from kernels.hstu_attention_band import (
    add_tiles,
    add_up,
    by_bucket,
    by_bucket_in_warps,
    by_distance,
)
from kernels.hstu_attention_plan import Tiles
from kernels.hstu_attention_tile import (
    BELOW_ZERO,
    TIME_ENTRIES,
    UNSEEN,
    activation,
    any_time,
    bounds,
    bucket_of,
    column_clock,
    dot,
    elapsed,
    is_visible,
    load_rows,
    read,
    row_clock,
    slot_of,
)
from kernels.relative_bias import RelativeBias

SHARES = 64  # of the blocks: more programs, and as many more partial sums
WARPS = 3001  # a prime, so that each gets tiles of all slots
ROWS = 16  # of a tile for a warp at a time
CHUNK = 16  # buckets that are added up at once
PRODUCT = 128  # elements of a tile that are multiplied at once
BAND_SHARES = 16  # of the blocks, where tiles are added up
BLOCKS = 8  # whose tiles are added up at once
ELEMENTS = 1024  # of each of them
POSITIONS = 256  # whose sums are added at once
BLOCKS_AT_ONCE = tl.constexpr(64)  # that are asked whether they have anything left


def padded_buckets(bias: RelativeBias | None) -> int:
    """As many as there are sums of, a power of two."""
    buckets = 1 if bias is None else bias.time_HC.shape[1]
    padded: int = triton.next_power_of_2(max(buckets, CHUNK))
    return padded


class Sums(NamedTuple):
    """Gradients of scores in memory, where the band leaves them; sums by bucket, [S, H, C]: of each
    block of keys by itself, then those of shares, which are added here; and sums of each block's
    tiles that are beyond all positions.
    """

    leaves: Tensor
    time_SHC: Tensor
    far_SH: Tensor


def new_sums(bias: RelativeBias, listed: Tiles, constants: dict[str, Any]) -> Sums:
    """Room for all of them."""
    number, slots = listed.in_band.shape
    heads = len(bias.time_HC)
    size = constants["BLOCK_M"] * constants["BLOCK_N"]
    kind = torch.float32 if constants["OPERAND"] == tl.float32 else torch.bfloat16
    device = bias.time_HC.device
    leaves = torch.empty(number, slots, heads, size, dtype=kind, device=device)
    shape = (number + WARPS + SHARES, heads, padded_buckets(bias))
    sum_SHC = torch.zeros(shape, device=device)
    return Sums(leaves, sum_SHC, sum_SHC.new_zeros(number, heads))


def bias_backward(
    bias: RelativeBias,
    sums: Sums,
    listed: Tiles,
    inputs: launch.Arguments,
    alpha: float,
    longest: int,
    constants: dict[str, Any],
) -> tuple[Tensor, Tensor]:
    """The gradients of both tables; `inputs` are what the other backward kernels are given."""
    (leaves, sum_SHC, far_SH), (heads, buckets) = sums, bias.time_HC.shape
    number = len(far_SH)
    positions, c = bias.position_HP.shape[1], sum_SHC.shape[2]
    table, m, n = inputs[5], constants["BLOCK_M"], constants["BLOCK_N"]
    slots = listed.in_band.shape[1]
    _, band_SHC, left_SHC = sum_SHC.split([number, WARPS, SHARES])
    tiles_SAHE = sum_SHC.new_empty(BAND_SHARES, slots, heads, n * m)
    distance_AHPW = sum_SHC.new_empty(slots, heads, n // m, 2 * m)
    shape = (number, heads, slots)
    grid, sizes = (WARPS,), {"M": m, "N": n, "C": c}
    given = (band_SHC, leaves, listed.in_band, listed.origins, table, *shape)
    if leaves.dtype == torch.bfloat16:
        by_bucket_in_warps[grid](*given, **sizes, R=min(ROWS, n), num_warps=1)
    else:
        padded = max(triton.next_power_of_2(heads), 16)
        by_bucket[grid](*given, **sizes, CHUNK=CHUNK, E=min(PRODUCT, m * n), PADDED_H=padded)
    element = min(ELEMENTS, n * m)
    add_tiles[(slots * heads, BAND_SHARES, n * m // element)](
        *(tiles_SAHE, leaves, listed.in_band, *shape), SIZE=n * m, E=element, B=BLOCKS
    )
    by_distance[(slots * heads, n // m)](
        distance_AHPW, tiles_SAHE, slots * heads, M=m, N=n, S=BAND_SHARES
    )
    left_SHX = sum_SHC.new_zeros(SHARES, heads, longest + 3 * n + m)
    _left_over[(SHARES, heads)](
        *(left_SHC, left_SHX, left_SHX.shape[2]),
        *(inputs, listed.entries, listed.counts, listed.origins, listed.width, alpha, *shape),
        positions,
        **{**launch.of_kernel(constants), "num_stages": 1, "C": c},
    )
    dposition_HP, dtime_HC = torch.empty_like(bias.position_HP), torch.empty_like(bias.time_HC)
    add_up[(heads,)](
        *(dposition_HP, dtime_HC, far_SH.sum(0), sum_SHC.sum(0), distance_AHPW, left_SHX.sum(0)),
        *(slots, left_SHX.shape[2], positions, buckets),
        **{**sizes, "X": min(POSITIONS, 16 * m)},
    )
    return dposition_HP, dtime_HC


@triton.jit(do_not_specialize=["number", "extent", "slots"])
def _left_over(
    time_sums,
    distance_sums,
    extent,
    inputs,
    entries,
    counts,
    origins,
    width,
    alpha,
    number,
    heads,
    slots,
    positions,
    D: tl.constexpr,
    V: tl.constexpr,
    PADDED_D: tl.constexpr,
    PADDED_V: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    OPERAND: tl.constexpr,
    C: tl.constexpr,
):
    """The sums of a share of the tiles that are in no other sum, computed anew."""
    dout, q, k, v, sequences, bias = inputs
    share, h = tl.program_id(0), tl.program_id(1)
    distance_sums += (share * heads + h) * extent
    time_C = tl.zeros((C,), tl.float32)
    left = 0  # most often there is nothing to do: seen at once
    for first in range(share, number, tl.num_programs(0) * BLOCKS_AT_ONCE):
        block_X = first + tl.arange(0, BLOCKS_AT_ONCE) * tl.num_programs(0)
        left += tl.sum(tl.load(counts + block_X * 6 + 5, mask=block_X < number, other=0), 0)
    for block in range(share, tl.where(left > 0, number, 0), tl.num_programs(0)):
        if tl.load(counts + block * 6 + 5) > 0:
            b, column = tl.load(origins + block * 4), tl.load(origins + block * 4 + 1)
            start, length, history, scale = bounds(sequences, b)
            j_N = column * N + tl.arange(0, N)
            k_ND = load_rows(k, h, start, j_N, length, D, PADDED_D, OPERAND)
            v_NV = load_rows(v, h, start, j_N, length, V, PADDED_V, OPERAND)
            for step in range(tl.load(counts + block * 6 + 2), tl.load(counts + block * 6 + 4)):
                row = tl.load(entries + block * width + step) & 0xFFFFF
                is_part = step >= tl.load(counts + block * 6 + 3)
                slot = slot_of(row, column, length, history, slots, positions, is_part, M, N)
                if slot < 0:
                    i_M = row * M + tl.arange(0, M)
                    q_MD = load_rows(q, h, start, i_M, length, D, PADDED_D, OPERAND)
                    dout_MV = load_rows(dout, h, start, i_M, length, V, PADDED_V, OPERAND)
                    time_C += _left_tile(
                        distance_sums,
                        sequences,
                        bias,
                        h,
                        start,
                        length,
                        history,
                        i_M,
                        j_N,
                        q_MD,
                        k_ND,
                        dout_MV,
                        v_NV,
                        alpha,
                        scale,
                        C,
                        OPERAND,
                    )
    tl.store(time_sums + (share * heads + h) * C + tl.arange(0, C), time_C)


@triton.jit
def _left_tile(
    distance_sums,
    sequences,
    bias,
    h,
    start,
    length,
    history,
    i_M,
    j_N,
    q_MD,
    k_ND,
    dout_MV,
    v_NV,
    alpha,
    scale,
    C: tl.constexpr,
    OPERAND: tl.constexpr,
):
    """[C]: the sums of a tile by bucket; those by distance are added to what is in memory."""
    N: tl.constexpr = k_ND.shape[0]
    query_clock = row_clock(bias[3] + start, i_M)
    key_clock = column_clock(bias[4] + start, j_N)
    elapsed_NM = elapsed(query_clock, key_clock)
    at_M = tl.minimum(i_M, history)
    near = bias[0] + h * bias[5] + BELOW_ZERO
    half_NM = dot(k_ND, tl.trans(q_MD)) * (0.5 * alpha)
    half_NM += read(near + tl.maximum(at_M[None, :] - j_N[:, None], -1), OPERAND)
    half_NM += any_time(bias[1] + h * TIME_ENTRIES, elapsed_NM, OPERAND)
    visible_NM = is_visible(i_M[None, :], j_N[:, None], length, history, sequences)
    _, slope_NM = activation(tl.where(visible_NM, half_NM, UNSEEN), OPERAND)
    dscore_NM = dot(v_NV, tl.trans(dout_MV)) * (0.5 * scale * slope_NM + 0.5 * scale)

    standing = tl.min(at_M, 0)
    upper_N, lower_N = _distance_sums(dscore_NM, at_M - standing)
    near = distance_sums + tl.maximum(standing - tl.min(j_N, 0), -N) + N + tl.arange(0, N)
    tl.store(near, tl.load(near) + lower_N)
    tl.debug_barrier()
    tl.store(near + N, tl.load(near + N) + upper_N)
    tl.debug_barrier()
    bucket_NM = bucket_of(elapsed_NM, bias[6])
    return _time_sums(dscore_NM, bucket_NM, visible_NM, C)


@triton.jit
def _distance_sums(x_NM, at_M):
    """[N], twice: sums of a tile by at - j, for 0 … N - 1 and for -N … -1.

    Each column is turned so that row d holds what is d before its query or N - d after it.
    """
    N: tl.constexpr = x_NM.shape[0]
    d_N = tl.arange(0, N)
    turned_NM = tl.gather(x_NM, (at_M[None, :] - d_N[:, None]) & (N - 1), 0)
    upper_NM = at_M[None, :] >= d_N[:, None]
    upper_N = tl.sum(tl.where(upper_NM, turned_NM, 0.0), 1)
    return upper_N, tl.sum(tl.where(upper_NM, 0.0, turned_NM), 1)


@triton.jit
def _time_sums(x_NM, bucket_NM, visible_NM, C: tl.constexpr):
    """[C]: sums of a tile by bucket."""
    c_C = tl.arange(0, C)
    sum_C = tl.zeros((C,), tl.float32)
    first = tl.min(tl.min(tl.where(visible_NM, bucket_NM, C), 1), 0)
    last = tl.max(tl.max(tl.where(visible_NM, bucket_NM, -1), 1), 0)
    for bucket in range(first, last + 1):
        total = tl.sum(tl.sum(tl.where(bucket_NM == bucket, x_NM, 0.0), 1), 0)
        sum_C += tl.where(c_C == bucket, total, 0.0)
    return sum_C
