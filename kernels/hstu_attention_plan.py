"""Which tiles HSTU attention has, sorted by how much of a bias must be looked up in each.

Most tiles lie far from the diagonal: all their positions are beyond the last of the table, and all
their time differences in one bucket, or in two or three. A block of queries, or of keys, gets a
list of the tiles that it is in, in parts: tiles of one bucket; tiles of a few; others that are seen
from end to end and have no more buckets than a warp has threads; and the rest. What a tile is
follows from the least and the greatest times of its two blocks, so times need not ascend. Times are
also taken apart into two float32, whose differences are exact (within a sequence that lasts no more
than 2^47 ms, 4,400 years).

B sequences · T tokens · P positions · C buckets · M queries and N keys of a tile · G tokens of a
granule · X tiles that a block may be in. A block's number is that of its sequence's start, in
blocks, plus that of its sequence, plus its own: no two have the same.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import time_buckets
from kernels.attention_mask import Mask
from kernels.hstu_attention_tile import (
    BELOW_ONE,
    BELOW_ZERO,
    FAR_ENTRIES,
    TIME_ENTRIES,
    bounds,
    leading_bits,
)
from kernels.relative_bias import RelativeBias

FEW = tl.constexpr(3)  # buckets
LANES = tl.constexpr(32)  # buckets that the threads of a warp hold
HALF_BITS = tl.constexpr(time_buckets.MANTISSA_BITS + 1)
HALF = tl.constexpr(1 << (time_buckets.MANTISSA_BITS + 1))
BELOW_HALF = tl.constexpr((1 << (time_buckets.MANTISSA_BITS + 1)) - 1)
LATEST = tl.constexpr(2**62)
LEAST_BAND = 5
TABLE_BLOCK = 1024  # entries
BAND_BYTES = 2**30


class Plan(NamedTuple):
    """What kernels are given beside the rows."""

    bias: tuple[Any, ...] | None
    ranges: Tensor | None


class Tiles(NamedTuple):
    """Lists of tiles: [blocks, width]; where each part of them ends, and how many others are not in
    the band: [blocks, 5]; the first and last bucket of those that are, or else -1: [blocks, A]; and
    each block's sequence, place in it, first token, and that of its last tile's queries: [blocks,
    4].
    """

    entries: Tensor
    counts: Tensor
    in_band: Tensor
    origins: Tensor
    width: int


def blocks(tokens: int, sequences: int, block: int) -> int:
    """More than the numbers of all blocks."""
    return tokens // block + sequences + 1


def plan(bias: RelativeBias | None, sequences: tuple[Any, ...], longest: int, granule: int) -> Plan:
    """The tables as kernels read them, and the times, taken apart."""
    if bias is None:
        return Plan(None, None)
    offsets_B1, tokens = sequences[0], len(bias.query_time_T)
    count = len(offsets_B1) - 1
    query_clock_T = offsets_B1.new_empty(tokens + BELOW_ZERO.value)
    key_clock_T = torch.empty_like(query_clock_T)
    ranges_G4 = offsets_B1.new_empty(blocks(tokens, count, granule), 4)
    times = (bias.query_time_T.contiguous(), bias.key_time_T.contiguous())
    _read_clocks[(count, triton.cdiv(longest, granule))](
        query_clock_T, key_clock_T, ranges_G4, *times, sequences, G=granule
    )
    distance_2HX, time_HX, far_HC4 = _tables(bias, longest)
    sizes = distance_2HX.shape[2], bias.time_HC.shape[1]
    return Plan((distance_2HX, time_HX, far_HC4, query_clock_T, key_clock_T, *sizes), ranges_G4)


def _tables(bias: RelativeBias, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    """Halves of biases, float32: by distance, upwards and downwards; by the leading bits of a time;
    and of what is far, by the first bucket of a tile: its bias, and the two coefficients of what is
    more in one of the next two buckets.
    """
    position_HP, time_HC = (x.detach().contiguous() for x in (bias.position_HP, bias.time_HC))
    (heads, positions), buckets = position_HP.shape, time_HC.shape[1]
    extent = triton.cdiv(longest, 16) * 16 + 2 * BELOW_ZERO.value
    floats = torch.empty(0, dtype=torch.float32, device=time_HC.device)
    distance_2HX = floats.new_empty(2, heads, extent)
    time_HX = floats.new_empty(heads, TIME_ENTRIES.value)
    far_HC4 = floats.new_empty(heads, buckets, FAR_ENTRIES.value)
    most = max(extent, TIME_ENTRIES.value, buckets)
    _write_tables[(heads, triton.cdiv(most, TABLE_BLOCK))](
        *(distance_2HX, time_HX, far_HC4, position_HP, time_HC),
        *(extent, positions, buckets),
        X=TABLE_BLOCK,
    )
    return distance_2HX, time_HX, far_HC4


def band(bias: RelativeBias, mask: Mask, sizes: tuple[int, int, int], m: int, n: int) -> int:
    """How many tiles of a block of keys leave the gradients of their scores in memory: those from
    the diagonal on, to the window's edge if there is one; and one for the last of a sequence, which
    may not be whole. `sizes` are the number of tokens and heads and the longest length.

    That one counts as far: where the band ends before that, for want of room, there is none.
    """
    tokens, heads, longest = sizes
    near = triton.cdiv(max(bias.position_HP.shape[1], mask.window or 0) + n, m)
    room = BAND_BYTES // max(tokens * heads * m * 2, 1)
    slots: int = 1 + max(min(max(near, LEAST_BAND), room, triton.cdiv(longest, m)), 1)
    return slots


def tiles(
    made: Plan,
    bias: RelativeBias | None,
    sequences: tuple[Any, ...],
    tokens: int,
    longest: int,
    constants: dict[str, Any],
    *,
    of_keys: bool,
    band: int = 1,
) -> Tiles:
    """The tiles of each block of keys, or else of queries."""
    m, n, granule = (constants[x] for x in ("BLOCK_M", "BLOCK_N", "GRANULE"))
    own, other = (n, m) if of_keys else (m, n)
    offsets_B1 = sequences[0]
    count = len(offsets_B1) - 1
    number = blocks(tokens, count, own)
    width = 16 * max(triton.cdiv(longest, 16 * other), 1)  # kernels need not be compiled for each
    ints = torch.empty(0, dtype=torch.int32, device=offsets_B1.device)
    entries, counts = ints.new_empty(number, width), ints.new_zeros(number, 5)
    in_band, origins = ints.new_full((number, band), -1), ints.new_empty(number, 4)
    sizes = (0, 1) if bias is None else (bias.position_HP.shape[1], bias.time_HC.shape[1])
    _list_tiles[(count, triton.cdiv(longest, own))](
        *(entries, counts, in_band, origins, sequences, made.ranges, *sizes, width, band),
        M=m,
        N=n,
        G=granule,
        OF_KEYS=of_keys,
        X=triton.next_power_of_2(width),
    )
    return Tiles(entries, counts, in_band, origins, width)


@triton.jit
def _write_tables(
    distance, time, far, position, buckets_of_time, extent, positions, buckets, X: tl.constexpr
):
    """X entries of each table of a head."""
    h, heads = tl.program_id(0), tl.num_programs(0)
    x_X = tl.program_id(1) * X + tl.arange(0, X)
    position += h * positions
    at_X = tl.minimum(tl.maximum(x_X - BELOW_ZERO, 0), positions - 1)
    half_X = tl.load(position + at_X).to(tl.float32) * 0.5
    tl.store(distance + h * extent + x_X, half_X, mask=x_X < extent)
    tl.store(distance + (heads + h + 1) * extent - 1 - x_X, half_X, mask=x_X < extent)

    buckets_of_time += h * buckets
    bucket_X = tl.minimum(tl.maximum(x_X - BELOW_ONE, 0), buckets - 1)
    bucket_X = tl.where(x_X < TIME_ENTRIES // 2, bucket_X, 0)  # the others are below zero
    half_X = tl.load(buckets_of_time + bucket_X).to(tl.float32) * 0.5
    tl.store(time + h * TIME_ENTRIES + x_X, half_X, mask=x_X < TIME_ENTRIES)

    last = tl.load(position + positions - 1).to(tl.float32) * 0.5
    half_0_X = tl.load(buckets_of_time + tl.minimum(x_X, buckets - 1)).to(tl.float32) * 0.5
    half_1_X = tl.load(buckets_of_time + tl.minimum(x_X + 1, buckets - 1)).to(tl.float32) * 0.5
    half_2_X = tl.load(buckets_of_time + tl.minimum(x_X + 2, buckets - 1)).to(tl.float32) * 0.5
    curve_X = 0.5 * (half_2_X - half_0_X) - (half_1_X - half_0_X)
    row_X = far + (h * buckets + x_X) * FAR_ENTRIES
    tl.store(row_X, half_0_X + last, mask=x_X < buckets)
    tl.store(row_X + 1, half_1_X - half_0_X - curve_X, mask=x_X < buckets)
    tl.store(row_X + 2, curve_X, mask=x_X < buckets)


@triton.jit
def _read_clocks(query_clock, key_clock, ranges, query_time, key_time, sequences, G: tl.constexpr):
    """The clocks of a granule, since its sequence's first query; its least and greatest times."""
    b, granule = tl.program_id(0), tl.program_id(1)
    start, length, _, _ = bounds(sequences, b)
    if granule * G >= length:
        return
    i_G = granule * G + tl.arange(0, G)
    inside_G = i_G < length
    origin = tl.load(query_time + start)
    row = ranges + (start // G + b + granule) * 4
    _write_clock(query_clock, row, query_time, origin, start + i_G, inside_G)
    _write_clock(key_clock, row + 2, key_time, origin, start + i_G, inside_G)


@triton.jit
def _write_clock(clock, row, times, origin, token_G, inside_G):
    time_G = tl.load(times + token_G, mask=inside_G, other=0)
    since_G = time_G - origin
    upper_G = (since_G >> HALF_BITS).to(tl.float32) * HALF
    lower_G = (since_G & BELOW_HALF).to(tl.float32)
    upper_G = upper_G.to(tl.uint32, bitcast=True).to(tl.int64)
    lower_G = lower_G.to(tl.uint32, bitcast=True).to(tl.int64)
    tl.store(clock + token_G, upper_G | (lower_G << 32), mask=inside_G)
    tl.store(row, tl.min(tl.where(inside_G, time_G, LATEST), 0))
    tl.store(row + 1, tl.max(tl.where(inside_G, time_G, -LATEST), 0))


@triton.jit
def _range(column, first, block_X, length, BLOCK: tl.constexpr, G: tl.constexpr):
    """The least and greatest time of each block, from those of its granules."""
    least_X = tl.full(block_X.shape, LATEST, tl.int64)
    greatest_X = tl.full(block_X.shape, -LATEST, tl.int64)
    for part in tl.static_range(BLOCK // G):
        granule_X = block_X * (BLOCK // G) + part
        inside_X = granule_X * G < length
        at_X = column + (first + granule_X) * 4
        least_X = tl.minimum(least_X, tl.load(at_X, mask=inside_X, other=LATEST))
        greatest_X = tl.maximum(greatest_X, tl.load(at_X + 1, mask=inside_X, other=-LATEST))
    return least_X, greatest_X


@triton.jit
def _leading(ranges, granule, m_X, n_X, length, M: tl.constexpr, N: tl.constexpr, G: tl.constexpr):
    """The leading bits of the least and the greatest time difference of each tile."""
    earliest_X, latest_X = _range(ranges, granule, m_X, length, M, G)
    oldest_X, newest_X = _range(ranges + 2, granule, n_X, length, N, G)
    least_X = leading_bits((earliest_X - newest_X).to(tl.float32))
    return least_X, leading_bits((latest_X - oldest_X).to(tl.float32))


@triton.jit
def _seen(i_X, last_i_X, j_X, last_j_X, history, sequences, N: tl.constexpr):
    """Whether anything of each tile is seen; and all of it, by queries that are after the keys."""
    window, prefix = sequences[3], sequences[4]
    some_X, all_X = j_X < history, (j_X + N <= history) & (j_X + N - 1 <= i_X)
    if window is not None:
        context = 0 if prefix is None else prefix
        nearest_X = tl.minimum(i_X, history) - tl.minimum(last_j_X, history - 1)
        furthest_X = tl.minimum(last_i_X, history) - j_X
        some_X &= (nearest_X < window) | (j_X < context)
        all_X &= (furthest_X < window) | (j_X + N <= context)
    some_X = (j_X <= last_i_X) & (some_X | (last_j_X >= i_X))
    if prefix is not None:
        some_X |= tl.maximum(i_X, j_X) < tl.minimum(prefix, history)
    return some_X, all_X


@triton.jit
def _list_tiles(
    entries,
    counts,
    in_band,
    origins,
    sequences,
    ranges,
    positions,
    buckets,
    width,
    band,
    M: tl.constexpr,
    N: tl.constexpr,
    G: tl.constexpr,
    OF_KEYS: tl.constexpr,
    X: tl.constexpr,
):
    """The list of a block of queries, or of keys: a tile's other block, and its first bucket."""
    b, own = tl.program_id(0), tl.program_id(1)
    start, length, history, _ = bounds(sequences, b)
    OWN: tl.constexpr = N if OF_KEYS else M
    if own * OWN >= length:
        return
    x_X = tl.arange(0, X)
    m_X, n_X = (x_X, tl.full((X,), 0, tl.int32) + own)
    if not OF_KEYS:
        m_X, n_X = n_X, m_X
    i_X, j_X = m_X * M, n_X * N  # the first query and key of a tile; then the last
    last_i_X, last_j_X = tl.minimum(i_X + M, length) - 1, tl.minimum(j_X + N, length) - 1
    inside_X = (i_X < length) & (j_X < length) & (x_X < width)
    some_X, all_X = _seen(i_X, last_i_X, j_X, last_j_X, history, sequences, N)
    present_X = inside_X & some_X
    whole_X = present_X & all_X
    if OF_KEYS:
        whole_X &= i_X + M <= length
    far_X = whole_X
    first_X = tl.zeros((X,), tl.int32)
    last_X, least_X = first_X, first_X
    if ranges is not None:
        far_X &= tl.minimum(i_X, history) - (j_X + N - 1) >= positions - 1
        least_X, most_X = _leading(ranges, start // G + b, m_X, n_X, length, M, N, G)
        whole_X &= most_X - least_X < LANES
        first_X = tl.minimum(least_X - BELOW_ONE, buckets - 1)
        last_X = tl.minimum(most_X - BELOW_ONE, buckets - 1)
    one_X = (far_X & (first_X == last_X)).to(tl.int32)
    few_X = (far_X & (first_X < last_X) & (last_X - first_X < FEW)).to(tl.int32)
    whole_X |= one_X + few_X > 0
    near_X = (whole_X & (one_X + few_X == 0)).to(tl.int32)
    part_X = (present_X & (whole_X == 0)).to(tl.int32)
    block = start // OWN + b + own
    entry_X = x_X | (tl.where(near_X > 0, least_X, first_X) << 20)
    row = counts + block * 5
    _store_list(entries + block * width, row, entry_X, present_X, one_X, few_X, near_X, part_X)
    if OF_KEYS:
        last_slot = tl.where((band - 1) * M >= positions + N, band - 1, -1)
        away_X = m_X - n_X * (N // M)
        is_last_X = (part_X > 0) & (i_X + M > length) & (x_X * 0 <= last_slot)
        slot_X = tl.where((away_X >= band - 1) & is_last_X, band - 1, away_X)
        is_in_X = (near_X + part_X > 0) & (away_X >= 0) & (last_i_X < history)
        is_in_X &= (away_X < band - 1) | is_last_X
        span_X = first_X | (last_X << 16)
        tl.store(in_band + block * band + slot_X, span_X, mask=is_in_X)
        tl.store(row + 4, tl.sum(near_X + part_X - is_in_X.to(tl.int32), 0))
        origin = origins + block * 4
        tl.store(origin, b)
        tl.store(origin + 1, own)
        tl.store(origin + 2, (start + own * OWN).to(tl.int32))
        tl.store(origin + 3, (start + (length - 1) // M * M).to(tl.int32))


@triton.jit
def _store_list(entries, row, entry_X, present_X, one_X, few_X, near_X, part_X):
    """The tiles of each part in turn, and where each part ends."""
    ones = tl.sum(one_X, 0)
    fews = ones + tl.sum(few_X, 0)
    nears = fews + tl.sum(near_X, 0)
    rank_X = tl.where(one_X > 0, tl.cumsum(one_X, 0), ones + tl.cumsum(few_X, 0))
    rank_X = tl.where(near_X > 0, fews + tl.cumsum(near_X, 0), rank_X)
    rank_X = tl.where(part_X > 0, nears + tl.cumsum(part_X, 0), rank_X) - 1
    tl.store(entries + rank_X, entry_X, mask=present_X)
    tl.store(row, ones)
    tl.store(row + 1, fews)
    tl.store(row + 2, nears)
    tl.store(row + 3, nears + tl.sum(part_X, 0))
