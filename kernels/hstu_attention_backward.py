"""The backward of HSTU attention in Triton: a program is a block of keys of one head.

It gives the gradients of its keys and values; those of queries are the forward's program's, which
computes scores anew (kernels/hstu_attention_forward.py). That is faster than to add to them by
atomics, and sums have one order. Of the gradients of biases, what tiles with few buckets give is
added up here, and the gradients of scores of the others are left in memory for
kernels/hstu_attention_bias.py, and for queries, which need not compute these anew.

The letters are those of kernels/hstu_attention.py; M queries and N keys of a tile.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import hstu_attention_launch as launch
from kernels.attention_plan import AttentionPlan
from kernels.hstu_attention_bias import bias_backward, new_sums, padded_buckets
from kernels.hstu_attention_forward import Left, query_pass
from kernels.hstu_attention_lookup import looked_up
from kernels.hstu_attention_plan import band, tiles
from kernels.hstu_attention_tile import (
    BELOW_ZERO,
    TIME_ENTRIES,
    UNSEEN,
    activation,
    any_time,
    bounds,
    column_clock,
    direct_row_clock,
    dot,
    elapsed,
    far_bias,
    few_bias,
    is_visible,
    load_rows,
    load_whole_rows,
    near_time,
    place,
    read,
    slot_of,
    store_rows,
)
from kernels.relative_bias import RelativeBias


def backward(
    dout_THV: Tensor,
    q_THD: Tensor,
    k_THD: Tensor,
    v_THV: Tensor,
    plan: AttentionPlan,
    bias: RelativeBias | None,
    alpha: float,
    divisor: float | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Gradients of queries, keys, values and, where there is a bias, of its two tables."""
    dq_THD, dk_THD, dv_THV = (torch.zeros_like(x) for x in (q_THD, k_THD, v_THV))
    sequences = launch.sequences(plan.offsets_B1, plan.mask, divisor)
    inputs = (q_THD, k_THD, v_THV)
    constants = launch.key_constants(q_THD, v_THV, biased=bias is not None)
    m, n = constants["BLOCK_M"], constants["BLOCK_N"]
    longest, (tokens, heads, _) = plan.longest, q_THD.shape
    table = looked_up(bias, plan, sequences, constants["GRANULE"])
    slots = 1 if bias is None else band(bias, plan.mask, (tokens, heads, longest), m, n)
    listed = tiles(plan, bias, sequences, tokens, constants, of_keys=True, band=slots)
    sums = None if bias is None else new_sums(bias, listed, constants)
    rows = tuple(launch.rows(x) for x in (dout_THV, *inputs))
    pairs, columns = (len(sequences[0]) - 1) * heads, triton.cdiv(longest, n)
    together = min(launch.GROUP, max(pairs, 1))
    grid = (triton.cdiv(pairs, together) * together * columns,)
    _key_pass[grid](
        launch.rows(dk_THD),
        launch.rows(dv_THV),
        None if sums is None or bias is None else (*sums[:2], slots, bias.position_HP.shape[1]),
        *rows,
        *(launch.blocks(x, m) for x in (dout_THV, q_THD)),
        sequences,
        table,
        listed.entries,
        listed.counts,
        listed.width,
        alpha,
        heads,
        columns,
        pairs,
        together,
        **launch.of_kernel(constants),
        C=padded_buckets(bias),
        BUCKETS=1 if bias is None else bias.time_HC.shape[1],
    )
    again = launch.query_constants(q_THD, v_THV)
    left = None if sums is None else Left(sums[0], listed.in_band, m)
    query_pass(dq_THD, dout_THV, inputs, sequences, plan, (bias, table), alpha, again, left)
    tables: tuple[Tensor | None, Tensor | None] = (None, None)
    if bias is not None and sums is not None:
        tables = bias_backward(
            bias, sums, listed, (*rows, sequences, table), alpha, longest, constants
        )
    return dq_THD, dk_THD, dv_THV, *tables


@triton.jit(do_not_specialize=["columns", "pairs", "together"])
def _key_pass(
    dk,
    dv,
    sums,
    dout,
    q,
    k,
    v,
    dout_blocks,
    q_blocks,
    sequences,
    bias,
    entries,
    counts,
    width,
    alpha,
    heads,
    columns,
    pairs,
    together,
    D: tl.constexpr,
    V: tl.constexpr,
    PADDED_D: tl.constexpr,
    PADDED_V: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    OPERAND: tl.constexpr,
    C: tl.constexpr,
    BUCKETS: tl.constexpr,
):
    """A block of rows of dk and dv, from all queries that see them."""
    b, h, column = place(columns, pairs, heads, together)  # the first are seen by the most: first
    if b * heads + h >= pairs:
        return
    start, length, history, scale = bounds(sequences, b)
    if column * N >= length:
        return
    j_N = column * N + tl.arange(0, N)
    k_ND = load_rows(k, h, start, j_N, length, D, PADDED_D, OPERAND)
    v_NV = load_rows(v, h, start, j_N, length, V, PADDED_V, OPERAND)
    dk_ND = tl.zeros((N, PADDED_D), tl.float32)
    dv_NV = tl.zeros((N, PADDED_V), tl.float32)
    block = start // N + b + column
    entries += block * width
    counts += block * 5
    ones, fews, nears = tl.load(counts), tl.load(counts + 1), tl.load(counts + 2)
    m_M = tl.arange(0, M)
    HAS_TARGETS: tl.constexpr = sequences[1] is not None
    HAS_PREFIX: tl.constexpr = sequences[4] is not None
    key_clock, time = None, None
    if bias is not None:
        key_clock = column_clock(bias[4] + start, j_N)
        time = bias[1] + h * TIME_ENTRIES
        leaves, time_sums, slots, positions = sums
        time_C = tl.zeros((C,), tl.float32)
        in_0_N = tl.zeros((N,), tl.float32)
        in_1_N = tl.zeros((N,), tl.float32)
        in_2_N = tl.zeros((N,), tl.float32)
        current = 0

    for step in range(ones):
        entry = tl.load(entries + step)
        half_bias = 0.0 if bias is None else far_bias(bias, h, entry)
        begin = (entry & 0xFFFFF) * M
        q_MD = load_whole_rows(q, q_blocks, h, start, begin, M, D, PADDED_D, OPERAND)
        dout_MV = load_whole_rows(dout, dout_blocks, h, start, begin, M, V, PADDED_V, OPERAND)
        dk_ND, dv_NV, dscore_NM = _add(
            dk_ND, dv_NV, k_ND, v_NV, q_MD, dout_MV, half_bias, None, alpha, scale, OPERAND
        )
        if bias is not None:
            first = entry >> 20
            if first != current:
                time_C += _in_bucket(current, in_0_N, C)
                in_0_N = tl.zeros((N,), tl.float32)
                current = first
            in_0_N += tl.sum(dscore_NM, 1)

    if bias is not None:
        for step in range(ones, fews):
            entry = tl.load(entries + step)
            begin = (entry & 0xFFFFF) * M
            q_MD = load_whole_rows(q, q_blocks, h, start, begin, M, D, PADDED_D, OPERAND)
            dout_MV = load_whole_rows(dout, dout_blocks, h, start, begin, M, V, PADDED_V, OPERAND)
            query_clock = direct_row_clock(bias[3] + (start + begin), m_M, OPERAND)
            elapsed_NM = elapsed(query_clock, key_clock)
            half_bias_NM, later_NM = few_bias(bias, h, entry, elapsed_NM, OPERAND)
            dk_ND, dv_NV, dscore_NM = _add(
                dk_ND, dv_NV, k_ND, v_NV, q_MD, dout_MV, half_bias_NM, None, alpha, scale, OPERAND
            )
            first = entry >> 20
            if first != current:
                time_C += _in_buckets(current, in_0_N, in_1_N, in_2_N, C)
                in_0_N = tl.zeros((N,), tl.float32)
                in_1_N = tl.zeros((N,), tl.float32)
                in_2_N = tl.zeros((N,), tl.float32)
                current = first
            in_0_N += tl.sum(dscore_NM, 1)
            dscore_NM *= later_NM
            in_1_N += tl.sum(dscore_NM, 1)
            in_2_N += tl.sum(dscore_NM * later_NM, 1)
        time_C += _in_buckets(current, in_0_N, in_1_N, in_2_N, C)
        tl.store(time_sums + (block * heads + h) * C + tl.arange(0, C), time_C)

        for step in range(fews, nears):
            entry = tl.load(entries + step)
            begin = (entry & 0xFFFFF) * M
            q_MD = load_whole_rows(q, q_blocks, h, start, begin, M, D, PADDED_D, OPERAND)
            dout_MV = load_whole_rows(dout, dout_blocks, h, start, begin, M, V, PADDED_V, OPERAND)
            query_clock = direct_row_clock(bias[3] + (start + begin), m_M, OPERAND)
            elapsed_NM = elapsed(query_clock, key_clock)
            half_bias_NM = near_time(time, entry >> 20, elapsed_NM, OPERAND)
            half_bias_NM += _by_distance(
                bias, h, j_N, begin, m_M, history, HAS_TARGETS, False, OPERAND
            )
            dk_ND, dv_NV, dscore_NM = _add(
                dk_ND, dv_NV, k_ND, v_NV, q_MD, dout_MV, half_bias_NM, None, alpha, scale, OPERAND
            )
            _leave(
                leaves,
                dscore_NM,
                block,
                slot_of(begin // M, column, length, history, slots, positions, False, M, N),
                slots,
                h,
                heads,
                OPERAND,
            )

    for step in range(nears, tl.load(counts + 3)):
        begin = (tl.load(entries + step) & 0xFFFFF) * M
        i_M = begin + m_M
        q_MD = load_rows(q, h, start, i_M, length, D, PADDED_D, OPERAND)
        dout_MV = load_rows(dout, h, start, i_M, length, V, PADDED_V, OPERAND)
        visible_NM = is_visible(i_M[None, :], j_N[:, None], length, history, sequences)
        half_bias_NM = 0.0
        if bias is not None:
            query_clock = direct_row_clock(bias[3] + (start + begin), m_M, OPERAND)
            half_bias_NM = any_time(time, elapsed(query_clock, key_clock), BUCKETS, OPERAND)
            half_bias_NM += _by_distance(
                bias, h, j_N, begin, m_M, history, HAS_TARGETS, HAS_TARGETS or HAS_PREFIX, OPERAND
            )
        dk_ND, dv_NV, dscore_NM = _add(
            dk_ND, dv_NV, k_ND, v_NV, q_MD, dout_MV, half_bias_NM, visible_NM, alpha, scale, OPERAND
        )
        if bias is not None:
            _leave(
                leaves,
                dscore_NM,
                block,
                slot_of(begin // M, column, length, history, slots, positions, True, M, N),
                slots,
                h,
                heads,
                OPERAND,
            )
    store_rows(dk, dk_ND * alpha, h, start, j_N, length, D)
    store_rows(dv, dv_NV * scale, h, start, j_N, length, V)


@triton.jit
def _by_distance(
    bias,
    h,
    j_N,
    begin,
    m_M,
    history,
    HAS_TARGETS: tl.constexpr,
    BEFORE: tl.constexpr,
    OPERAND: tl.constexpr,
):
    """[N, M]: half the bias of each distance. A target stands next after the history, but is at no
    distance from itself; nor is, BEFORE others, a query of the prefix from them.
    """
    near_N1 = bias[0] + (h * bias[5] + BELOW_ZERO) - j_N[:, None].to(tl.int64)
    if not (HAS_TARGETS or BEFORE):
        return read((near_N1 + begin) + m_M[None, :].to(tl.int64), OPERAND)
    at_1M = tl.minimum(begin + m_M, history)[None, :].to(tl.int64)
    if BEFORE:
        at_1M = tl.maximum(at_1M, j_N[:, None] - 1)
    return read(near_N1 + at_1M, OPERAND)


@triton.jit
def _leave(leaves, dscore_NM, block, slot, slots, h, heads, OPERAND: tl.constexpr):
    """Leave the gradient of a tile's scores in memory, if there is a slot for it."""
    N: tl.constexpr = dscore_NM.shape[0]
    M: tl.constexpr = dscore_NM.shape[1]
    if slot >= 0:
        tile = leaves + ((block * slots + slot) * heads + h).to(tl.int64) * (N * M)
        at_NM = tl.arange(0, N)[:, None] * M + tl.arange(0, M)[None, :]
        tl.store(tile + at_NM, dscore_NM.to(OPERAND))


@triton.jit
def _add(
    dk_ND,
    dv_NV,
    k_ND,
    v_NV,
    q_MD,
    dout_MV,
    half_bias,
    visible_NM,
    alpha,
    scale,
    OPERAND: tl.constexpr,
):
    """Both sums with what one tile adds to them, and the gradient of the tile's scores."""
    half_NM = dot(k_ND, tl.trans(q_MD)) * (0.5 * alpha) + half_bias
    if visible_NM is not None:
        half_NM = tl.where(visible_NM, half_NM, UNSEEN)
    dweight_NM = dot(v_NV, tl.trans(dout_MV))
    silu_NM, slope_NM = activation(half_NM, scale, OPERAND)
    dscore_NM = dweight_NM * slope_NM
    dv_NV = dot(silu_NM.to(OPERAND), dout_MV, dv_NV)
    dk_ND = dot(dscore_NM.to(OPERAND), q_MD, dk_ND)
    return dk_ND, dv_NV, dscore_NM


@triton.jit
def _in_bucket(bucket, sum_N, C: tl.constexpr):
    """[C]: a sum where its bucket is."""
    return tl.where(tl.arange(0, C) == bucket, tl.sum(sum_N, 0), 0.0)


@triton.jit
def _in_buckets(bucket, sum_N, first_N, second_N, C: tl.constexpr):
    """[C]: as much, of a bucket and the next two; given are all their sum, that of what is times 0,
    1 or 2 for how many buckets after the first it is in, and that of what is times the square.
    """
    both_N = 0.5 * (second_N - first_N)
    one_N = 2 * first_N - second_N
    sum_C = _in_bucket(bucket, sum_N - one_N - both_N, C)
    return sum_C + _in_bucket(bucket + 1, one_N, C) + _in_bucket(bucket + 2, both_N, C)
