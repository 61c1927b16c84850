"""The forward of HSTU attention in Triton: a program is a block of queries of one head.

The same program gives the gradient of its queries instead, for a backward in one order of sums.
The letters are those of kernels/hstu_attention.py; M queries and N keys of a tile.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from kernels import hstu_attention_launch as launch
from kernels.attention_plan import AttentionPlan
from kernels.hstu_attention_lookup import looked_up
from kernels.hstu_attention_outside import new_rows
from kernels.hstu_attention_plan import tiles
from kernels.hstu_attention_tile import (
    BELOW_ZERO,
    TIME_ENTRIES,
    UNSEEN,
    activation,
    any_time,
    borders_at,
    bounds,
    column_clock,
    direct_row_clock,
    dot,
    elapsed,
    few_biases,
    is_visible,
    is_within,
    load_rows,
    load_whole_rows,
    place,
    read,
    row_clock,
    store_rows,
)
from kernels.relative_bias import RelativeBias


def forward(
    q_THD: Tensor,
    k_THD: Tensor,
    v_THV: Tensor,
    plan: AttentionPlan,
    bias: RelativeBias | None,
    alpha: float,
    divisor: float | None,
) -> Tensor:
    """out_THV of `hstu_attention`, in the type of the values."""
    (out_THV,) = new_rows((v_THV,), plan.offsets_B1)
    sequences = launch.sequences(plan.offsets_B1, plan.mask, divisor)
    constants = launch.forward_constants(q_THD, v_THV)
    table = looked_up(bias, plan, sequences, constants["GRANULE"])
    inputs = (q_THD, k_THD, v_THV)
    query_pass(out_THV, None, inputs, sequences, plan, (bias, table), alpha, constants)
    return out_THV


class Left(NamedTuple):
    """Gradients of scores in memory, as kernels/hstu_attention_bias.py has them; which tiles of
    keys they are of; and how many queries such a tile has.
    """

    leaves: Tensor
    in_band: Tensor
    rows: int


def query_pass(
    result: Tensor,
    dout_THV: Tensor | None,
    inputs: tuple[Tensor, Tensor, Tensor],
    sequences: launch.Arguments,
    plan: AttentionPlan,
    biased: tuple[RelativeBias | None, Any],
    alpha: float,
    constants: dict[str, Any],
    left: Left | None = None,
) -> None:
    """Write the output, or, with that of the output, the gradient of queries; this from gradients
    of scores that are left in memory, where they are. A bias comes with what is looked up of it.
    """
    (bias, table), (tokens, heads, _) = biased, result.shape
    in_band = None if left is None else (left.in_band, left.rows)
    listed = tiles(plan, bias, sequences, tokens, constants, of_keys=False, left=in_band)
    pairs, rows = (len(sequences[0]) - 1) * heads, triton.cdiv(plan.longest, constants["BLOCK_M"])
    together = min(launch.GROUP, max(pairs, 1))
    grid = (triton.cdiv(pairs, together) * together * rows,)
    _query_pass[grid](
        launch.rows(result),
        None if dout_THV is None else launch.rows(dout_THV),
        *(launch.rows(x) for x in inputs),
        *(launch.blocks(x, constants["BLOCK_N"]) for x in inputs[1:]),
        sequences,
        table,
        None if left is None else left.leaves,
        1 if left is None else left.in_band.shape[1],
        listed.entries,
        listed.counts,
        listed.borders,
        listed.width,
        alpha,
        heads,
        rows,
        pairs,
        together,
        **launch.of_kernel(constants),
        KEYS_M=constants["BLOCK_M"] if left is None else left.rows,
    )


@triton.jit(do_not_specialize=["band", "rows", "pairs", "together"])
def _query_pass(
    result,
    dout,
    q,
    k,
    v,
    k_blocks,
    v_blocks,
    sequences,
    bias,
    leaves,
    band,
    entries,
    counts,
    borders,
    width,
    alpha,
    heads,
    rows,
    pairs,
    together,
    D: tl.constexpr,
    V: tl.constexpr,
    PADDED_D: tl.constexpr,
    PADDED_V: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    OPERAND: tl.constexpr,
    KEYS_M: tl.constexpr,
):
    """A block of rows of the output, or of dq, from all keys that they see."""
    b, h, row = place(rows, pairs, heads, together)
    row = rows - 1 - row  # the last see the most keys: first
    if b * heads + h >= pairs:
        return
    start, length, history, scale = bounds(sequences, b)
    if row * M >= length:
        return
    i_M = row * M + tl.arange(0, M)
    q_MD = load_rows(q, h, start, i_M, length, D, PADDED_D, OPERAND)
    if dout is None:
        dout_MV = None
        sum_MW = tl.zeros((M, PADDED_V), tl.float32)
    else:
        dout_MV = load_rows(dout, h, start, i_M, length, V, PADDED_V, OPERAND)
        sum_MW = tl.zeros((M, PADDED_D), tl.float32)
    query_clock, time = None, None
    if bias is not None:
        query_clock = column_clock(bias[3] + start, i_M)
        time = bias[1] + h * TIME_ENTRIES
    block = start // M + b + row
    entries += block * width
    counts += block * 6
    ones, twos, fews = tl.load(counts), tl.load(counts + 1), tl.load(counts + 2)
    nears, parts = tl.load(counts + 3), tl.load(counts + 4)
    n_N = tl.arange(0, N)
    HAS_TARGETS: tl.constexpr = sequences[1] is not None
    HAS_PREFIX: tl.constexpr = sequences[4] is not None

    for step in range(twos):
        entry = tl.load(entries + step)
        first = (entry & 0xFFFFF) * N
        k_ND = load_whole_rows(k, k_blocks, h, start, first, N, D, PADDED_D, OPERAND)
        v_NV = load_whole_rows(v, v_blocks, h, start, first, N, V, PADDED_V, OPERAND)
        if bias is not None:
            base, second, _, _ = few_biases(bias, h, entry >> 20, OPERAND)
            tile = borders + (block * width + (entry & 0xFFFFF)) * M
            second_M1, _ = borders_at(tile, tl.arange(0, M), OPERAND)
        half_MN = dot(q_MD, tl.trans(k_ND)) * (0.5 * alpha)
        if bias is not None:
            half_MN += base
            if step >= ones:
                half_MN += is_within(second_M1, M, N, OPERAND) * second
        sum_MW = _add(sum_MW, half_MN, dout_MV, k_ND, v_NV, OPERAND)

    if bias is not None:
        for step in range(twos, nears):
            entry = tl.load(entries + step)
            first = (entry & 0xFFFFF) * N
            k_ND = load_whole_rows(k, k_blocks, h, start, first, N, D, PADDED_D, OPERAND)
            v_NV = load_whole_rows(v, v_blocks, h, start, first, N, V, PADDED_V, OPERAND)
            bucket = tl.where(step < fews, entry >> 20, 0)
            _, second, third, base = few_biases(bias, h, bucket, OPERAND)
            tile = borders + (block * width + (entry & 0xFFFFF)) * M
            second_M1, third_M1 = borders_at(tile, tl.arange(0, M), OPERAND)
            half_MN = dot(q_MD, tl.trans(k_ND)) * (0.5 * alpha)
            half_MN += _by_distance(
                bias, h, heads, i_M, first, n_N, history, HAS_TARGETS, HAS_PREFIX, OPERAND
            )
            if step < fews:
                half_MN += is_within(third_M1, M, N, OPERAND) * third + base
                half_MN += is_within(second_M1, M, N, OPERAND) * second
            else:
                key_clock = direct_row_clock(bias[4] + (start + first), n_N, OPERAND)
                elapsed_MN = elapsed(query_clock, key_clock)
                half_MN += any_time(time, elapsed_MN, OPERAND)
                visible_MN = is_visible(
                    i_M[:, None], (first + n_N)[None, :], length, history, sequences
                )
                half_MN = tl.where(visible_MN, half_MN, UNSEEN)
            sum_MW = _add(sum_MW, half_MN, dout_MV, k_ND, v_NV, OPERAND)

    for step in range(nears, parts):
        first = (tl.load(entries + step) & 0xFFFFF) * N
        j_N = first + n_N
        k_ND = load_rows(k, h, start, j_N, length, D, PADDED_D, OPERAND)
        v_NV = load_rows(v, h, start, j_N, length, V, PADDED_V, OPERAND)
        visible_MN = is_visible(i_M[:, None], j_N[None, :], length, history, sequences)
        half_MN = dot(q_MD, tl.trans(k_ND)) * (0.5 * alpha)
        if bias is not None:
            key_clock = row_clock(bias[4] + (start + first), n_N)
            half_MN += any_time(time, elapsed(query_clock, key_clock), OPERAND)
            half_MN += _by_distance(
                bias,
                h,
                heads,
                i_M,
                first,
                n_N,
                history,
                HAS_TARGETS,
                HAS_PREFIX,
                OPERAND,
            )
        half_MN = tl.where(visible_MN, half_MN, UNSEEN)
        sum_MW = _add(sum_MW, half_MN, dout_MV, k_ND, v_NV, OPERAND)
    if dout is not None:
        sum_MW *= 0.5 * scale
    if leaves is not None:
        for step in range(parts, tl.load(counts + 5)):
            column = tl.load(entries + step) & 0xFFFFF
            k_ND = load_rows(k, h, start, column * N + n_N, length, D, PADDED_D, OPERAND)
            leaves_of_keys = leaves + (start // N + b + column) * band * heads * (N * KEYS_M)
            leaf_NM = _left_tile(leaves_of_keys, band, h, heads, row, column, M, N, KEYS_M)
            sum_MW = dot(tl.trans(leaf_NM), k_ND, sum_MW)
    if dout is None:
        store_rows(result, sum_MW * scale, h, start, i_M, length, V)
    else:
        store_rows(result, sum_MW * alpha, h, start, i_M, length, D)


@triton.jit
def _left_tile(
    leaves, band, h, heads, row, column, M: tl.constexpr, N: tl.constexpr, KEYS_M: tl.constexpr
):
    """[N, M]: the gradients of a tile's scores, of one tile of the band or more. Rows beyond the
    sequence are anything at all, and their sums are not written.
    """
    m_M = tl.arange(0, M)
    away_M = row * (M // KEYS_M) + m_M // KEYS_M - column * (N // KEYS_M)
    tile_M = (tl.minimum(away_M, band - 1) * heads + h) * (N * KEYS_M)
    at_NM = tl.arange(0, N)[:, None] * KEYS_M + (tile_M + m_M % KEYS_M)[None, :]
    return tl.load(leaves + at_NM)


@triton.jit
def _by_distance(
    bias,
    h,
    heads,
    i_M,
    first,
    n_N,
    history,
    HAS_TARGETS: tl.constexpr,
    HAS_PREFIX: tl.constexpr,
    OPERAND: tl.constexpr,
):
    """[M, N]: half the bias of each distance. A target stands next after the history, but is at no
    distance from itself; nor is a query of the prefix from what is after it. The table that
    goes downwards has addresses that go up with the keys.
    """
    at_M1 = i_M[:, None].to(tl.int64)
    if HAS_TARGETS:
        at_M1 = tl.minimum(at_M1, history)
    if HAS_TARGETS or HAS_PREFIX:
        near = bias[0] + (h * bias[5] + BELOW_ZERO)
        return read(near + tl.maximum(at_M1 - (first + n_N)[None, :], -1), OPERAND)
    after_M1 = bias[0] + ((heads + h + 1) * bias[5] - 1 - BELOW_ZERO) - at_M1
    return read((after_M1 + first) + n_N[None, :].to(tl.int64), OPERAND)


@triton.jit
def _add(sum_MW, half_MN, dout_MV, k_ND, v_NV, OPERAND: tl.constexpr):
    """A sum with what one tile of half scores adds to it; of dq twice that, and not divided."""
    silu_MN, slope_MN = activation(half_MN, OPERAND)
    if dout_MV is None:
        added_MN, rows_NW = silu_MN, v_NV
    else:
        dweight_MN = dot(dout_MV, tl.trans(v_NV))
        added_MN, rows_NW = dweight_MN * slope_MN + dweight_MN, k_ND
    return dot(added_MN.to(OPERAND), rows_NW, sum_MW)
