"""The backward of HSTU attention in Triton: a program is a block of keys of one head.

It gives the gradients of its keys and values; those of queries are the forward's program's, which
computes scores anew (kernels/hstu_attention_forward.py). That is faster than to add to them by
atomics, and sums have one order. Of the gradients of biases, what tiles with few buckets give is
added up here, and the gradients of scores of the others are left in memory for
kernels/hstu_attention_bias.py, and for queries, which need not compute these anew.

The letters are those of kernels/hstu_attention.py; M queries and N keys of a tile.
"""

import triton
import triton.language as tl
from torch import Tensor

from kernels import hstu_attention_launch as launch
from kernels.attention_plan import AttentionPlan
from kernels.hstu_attention_bias import bias_backward, new_sums, padded_buckets
from kernels.hstu_attention_forward import Left, query_pass
from kernels.hstu_attention_lookup import looked_up
from kernels.hstu_attention_outside import new_rows
from kernels.hstu_attention_plan import band, tiles
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
    dq_THD, dk_THD, dv_THV = new_rows((q_THD, k_THD, v_THV), plan.offsets_B1)
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
        None if sums is None or bias is None else (*sums[:3], slots, bias.position_HP.shape[1]),
        *rows,
        *(launch.blocks(x, m) for x in (dout_THV, q_THD)),
        sequences,
        table,
        listed.entries,
        listed.counts,
        listed.borders,
        listed.width,
        alpha,
        heads,
        columns,
        pairs,
        together,
        **launch.of_kernel(constants),
        C=padded_buckets(bias),
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
    borders,
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
    counts += block * 6
    ones, twos, fews = tl.load(counts), tl.load(counts + 1), tl.load(counts + 2)
    nears, parts = tl.load(counts + 3), tl.load(counts + 4)
    m_M = tl.arange(0, M)
    HAS_TARGETS: tl.constexpr = sequences[1] is not None
    HAS_PREFIX: tl.constexpr = sequences[4] is not None
    key_clock, time = None, None
    if bias is not None:
        key_clock = column_clock(bias[4] + start, j_N)
        time = bias[1] + h * TIME_ENTRIES
        leaves, time_sums, far_sums, slots, positions = sums
        time_C = tl.zeros((C,), tl.float32)
        all_N4 = tl.zeros((N, 4), tl.float32)
        one_N4 = all_N4
        current = 0

    for step in range(twos):
        entry = tl.load(entries + step)
        begin = (entry & 0xFFFFF) * M
        q_MD = load_whole_rows(q, q_blocks, h, start, begin, M, D, PADDED_D, OPERAND)
        dout_MV = load_whole_rows(dout, dout_blocks, h, start, begin, M, V, PADDED_V, OPERAND)
        if bias is not None:
            bucket = entry >> 20
            base, second, _, _ = few_biases(bias, h, bucket, OPERAND)
            base += tl.where(step < ones, 0.0, second)
            tile = borders + (block * width + (entry & 0xFFFFF)) * N
            first_N1, _ = borders_at(tile, tl.arange(0, N), OPERAND)
        half_NM = dot(k_ND, tl.trans(q_MD)) * (0.5 * alpha)
        if bias is not None:
            half_NM += base
            if step >= ones:
                half_NM -= is_within(first_N1, N, M, OPERAND) * second
        dk_ND, dv_NV, dscore_NM = _add(dk_ND, dv_NV, half_NM, v_NV, q_MD, dout_MV, OPERAND)
        if bias is not None:
            if bucket != current:
                time_C += _in_buckets(current, all_N4, all_N4, one_N4, C)
                all_N4 = tl.zeros((N, 4), tl.float32)
                one_N4 = all_N4
                current = bucket
            all_N4 += _by_thread(dscore_NM)
            if step >= ones:
                dscore_NM *= is_within(first_N1, N, M, OPERAND)
            one_N4 += _by_thread(dscore_NM)

    if bias is not None:
        time_C += _in_buckets(current, all_N4, all_N4, one_N4, C)
        far_C = time_C
        all_N4 = tl.zeros((N, 4), tl.float32)
        two_N4, one_N4, far_N4 = all_N4, all_N4, all_N4
        for step in range(twos, nears):
            entry = tl.load(entries + step)
            begin = (entry & 0xFFFFF) * M
            q_MD = load_whole_rows(q, q_blocks, h, start, begin, M, D, PADDED_D, OPERAND)
            dout_MV = load_whole_rows(dout, dout_blocks, h, start, begin, M, V, PADDED_V, OPERAND)
            bucket = tl.where(step < fews, entry >> 20, 0)
            _, second, third, base = few_biases(bias, h, bucket, OPERAND)
            tile = borders + (block * width + (entry & 0xFFFFF)) * N
            first_N1, both_N1 = borders_at(tile, tl.arange(0, N), OPERAND)
            half_NM = dot(k_ND, tl.trans(q_MD)) * (0.5 * alpha)
            half_NM += _by_distance(
                bias, h, j_N, begin, m_M, history, HAS_TARGETS, HAS_PREFIX, OPERAND
            )
            if step < fews:
                half_NM += (base + second + third) - is_within(both_N1, N, M, OPERAND) * third
                half_NM -= is_within(first_N1, N, M, OPERAND) * second
            else:
                query_clock = direct_row_clock(bias[3] + (start + begin), m_M, OPERAND)
                elapsed_NM = elapsed(query_clock, key_clock)
                half_NM += any_time(time, elapsed_NM, OPERAND)
                visible_NM = is_visible(
                    (begin + m_M)[None, :], j_N[:, None], length, history, sequences
                )
                half_NM = tl.where(visible_NM, half_NM, UNSEEN)
            dk_ND, dv_NV, dscore_NM = _add(dk_ND, dv_NV, half_NM, v_NV, q_MD, dout_MV, OPERAND)
            slot = slot_of(begin // M, column, length, history, slots, positions, False, M, N)
            _leave(leaves, dscore_NM * (0.5 * scale), block, slot, slots, h, heads, OPERAND)
            if step < fews:
                if bucket != current:
                    time_C += _in_buckets(current, all_N4, two_N4, one_N4, C)
                    all_N4 = tl.zeros((N, 4), tl.float32)
                    two_N4, one_N4 = all_N4, all_N4
                    current = bucket
                sum_N4 = _by_thread(dscore_NM)
                all_N4 += sum_N4
                far_N4 += tl.where(slot < 0, sum_N4, 0.0)
                two_N4 += _by_thread(dscore_NM * is_within(both_N1, N, M, OPERAND))
                one_N4 += _by_thread(dscore_NM * is_within(first_N1, N, M, OPERAND))
        time_C += _in_buckets(current, all_N4, two_N4, one_N4, C)
        far = tl.sum(far_C, 0) + tl.sum(tl.sum(far_N4, 1), 0)
        tl.store(far_sums + block * heads + h, far * (0.5 * scale))
        tl.store(time_sums + (block * heads + h) * C + tl.arange(0, C), time_C * (0.5 * scale))

    for step in range(nears, parts):
        begin = (tl.load(entries + step) & 0xFFFFF) * M
        i_M = begin + m_M
        q_MD = load_rows(q, h, start, i_M, length, D, PADDED_D, OPERAND)
        dout_MV = load_rows(dout, h, start, i_M, length, V, PADDED_V, OPERAND)
        visible_NM = is_visible(i_M[None, :], j_N[:, None], length, history, sequences)
        half_NM = dot(k_ND, tl.trans(q_MD)) * (0.5 * alpha)
        if bias is not None:
            query_clock = direct_row_clock(bias[3] + (start + begin), m_M, OPERAND)
            half_NM += any_time(time, elapsed(query_clock, key_clock), OPERAND)
            half_NM += _by_distance(
                bias, h, j_N, begin, m_M, history, HAS_TARGETS, HAS_PREFIX, OPERAND
            )
        half_NM = tl.where(visible_NM, half_NM, UNSEEN)
        dk_ND, dv_NV, dscore_NM = _add(dk_ND, dv_NV, half_NM, v_NV, q_MD, dout_MV, OPERAND)
        if bias is not None:
            slot = slot_of(begin // M, column, length, history, slots, positions, True, M, N)
            _leave(leaves, dscore_NM * (0.5 * scale), block, slot, slots, h, heads, OPERAND)
    store_rows(dk, dk_ND * (0.5 * scale * alpha), h, start, j_N, length, D)
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
    HAS_PREFIX: tl.constexpr,
    OPERAND: tl.constexpr,
):
    """[N, M]: half the bias of each distance. A target stands next after the history, but is at no
    distance from itself; nor is a query of the prefix from what is after it.
    """
    near_N1 = bias[0] + (h * bias[5] + BELOW_ZERO) - j_N[:, None].to(tl.int64)
    if not (HAS_TARGETS or HAS_PREFIX):
        return read((near_N1 + begin) + m_M[None, :].to(tl.int64), OPERAND)
    at_1M = tl.minimum(begin + m_M, history)[None, :].to(tl.int64)
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
def _add(dk_ND, dv_NV, half_NM, v_NV, q_MD, dout_MV, OPERAND: tl.constexpr):
    """Both sums with what one tile of half scores adds to them, and the gradient of these scores;
    this and that of keys are twice what they are, and nothing is divided.
    """
    dweight_NM = dot(v_NV, tl.trans(dout_MV))
    silu_NM, slope_NM = activation(half_NM, OPERAND)
    dscore_NM = dweight_NM * slope_NM + dweight_NM
    dv_NV = dot(silu_NM.to(OPERAND), dout_MV, dv_NV)
    dk_ND = dot(dscore_NM.to(OPERAND), q_MD, dk_ND)
    return dk_ND, dv_NV, dscore_NM


@triton.jit
def _by_thread(x_NM):
    """[N, 4]: sums of those columns of a row that one thread has of a product."""
    N: tl.constexpr = x_NM.shape[0]
    M: tl.constexpr = x_NM.shape[1]
    return tl.sum(tl.sum(tl.reshape(x_NM, (N, M // 8, 4, 2)), 3), 1)


@triton.jit
def _in_bucket(bucket, sum_N4, C: tl.constexpr):
    """[C]: a sum where its bucket is."""
    return tl.where(tl.arange(0, C) == bucket, tl.sum(tl.sum(sum_N4, 1), 0), 0.0)


@triton.jit
def _in_buckets(bucket, all_N4, two_N4, one_N4, C: tl.constexpr):
    """[C]: as much, of a bucket and the next two; given are the sums of all, of two, and of one."""
    sum_C = _in_bucket(bucket, one_N4, C) + _in_bucket(bucket + 1, two_N4 - one_N4, C)
    return sum_C + _in_bucket(bucket + 2, all_N4 - two_N4, C)
