"""Which tiles HSTU attention has, sorted by how much of a bias must be looked up in each.

Most tiles lie far from the diagonal: all their positions are beyond the last of the table, and all
their time differences in one bucket, or in two or three. A block of queries, or of keys, gets a
list of the tiles that it is in, in parts. Seen from end to end are far tiles of one bucket; far
tiles of two, whose columns ascend in time; and others that do and have three at most. Of others the
biases are looked up; at last come those whose columns go beyond the sequence, and, without a bias,
all others. What a tile is follows from the least and the greatest times of its two blocks, so times
need not ascend, but are quicker if they do.

B sequences · T tokens · P positions · C buckets · M queries and N keys of a tile · G tokens of a
granule (kernels/hstu_attention_lookup.py, blocks' numbers too) · X tiles that a block may be in.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.attention_mask import Mask
from kernels.attention_plan import AttentionPlan
from kernels.hstu_attention_borders import find_borders
from kernels.hstu_attention_lookup import LATEST, Clocks, blocks, clocks
from kernels.hstu_attention_tile import BELOW_ONE, bounds, leading_bits
from kernels.relative_bias import RelativeBias

FEW = tl.constexpr(3)  # buckets
LEAST_BAND = 5
BAND_BYTES = 2**30


class Tiles(NamedTuple):
    """Lists of tiles: [blocks, width]; where each part of them ends; and last how many tiles of
    keys are in none and not in the band, or how many tiles of queries there are with those that
    are in it: [blocks, 6]. Borders of those with a few buckets are in their order, with a bias.

    Of keys, too: the first and last bucket of those in the band, or -2 where these are summed with
    the scores, or else -1: [blocks, A]; and each block's sequence, place in it, first token, and
    that of its last tile's queries: [blocks, 4].
    """

    entries: Tensor
    counts: Tensor
    in_band: Tensor
    origins: Tensor
    width: int
    borders: Tensor | None


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
    plan: AttentionPlan,
    bias: RelativeBias | None,
    sequences: tuple[Any, ...],
    tokens: int,
    constants: dict[str, Any],
    *,
    of_keys: bool,
    band: int = 1,
    left: tuple[Tensor, int] | None = None,
) -> Tiles:
    """The tiles of each block of keys, or else of queries; given which tiles of keys are in the
    band, and how many queries these have, tiles of queries that are all in it are a part too.
    A plan has each list once.
    """
    m, n, granule = (constants[x] for x in ("BLOCK_M", "BLOCK_N", "GRANULE"))
    sizes = (0, 1) if bias is None else (bias.position_HP.shape[1], bias.time_HC.shape[1])
    made = None if bias is None else clocks(plan, sequences, granule)
    in_band = None if left is None else (*left[0].shape, left[1])
    borders = None
    if left is not None:  # those of the tiles that are left out are found for the forward anyway
        borders = tiles(plan, bias, sequences, tokens, constants, of_keys=of_keys).borders
    return plan.once(
        ("tiles", tokens, m, n, granule, sizes, of_keys, band, in_band),
        lambda: _tiles(
            *(made, sizes, sequences, tokens, plan.longest, (m, n, granule), of_keys, band, left),
            borders,
        ),
    )


def _tiles(
    made: Clocks | None,
    sizes: tuple[int, int],
    sequences: tuple[Any, ...],
    tokens: int,
    longest: int,
    sides: tuple[int, int, int],
    of_keys: bool,
    band: int,
    left: tuple[Tensor, int] | None,
    borders: Tensor | None,
) -> Tiles:
    (m, n, granule), offsets_B1 = sides, sequences[0]
    own, other = (n, m) if of_keys else (m, n)
    count = len(offsets_B1) - 1
    number = blocks(tokens, count, own)
    width = 16 * max(triton.cdiv(longest, 16 * other), 1)  # kernels need not be compiled for each
    ints = torch.empty(0, dtype=torch.int32, device=offsets_B1.device)
    entries, counts = ints.new_empty(number, width), ints.new_zeros(number, 6)
    in_band, origins = ints.new_full((number, band), -1), ints.new_empty(number, 4)
    _list_tiles[(count, triton.cdiv(longest, own))](
        *(entries, counts, in_band, origins, sequences),
        *(None if made is None else made.ranges_G6, *sizes, width, band),
        *(None if left is None else left[0], 1 if left is None else left[0].shape[1]),
        KEYS_M=m if left is None else left[1],
        M=m,
        N=n,
        G=granule,
        OF_KEYS=of_keys,
        X=triton.next_power_of_2(width),
    )
    if made is not None and borders is None:
        given = (entries, counts, made[:2], sequences, longest, sizes[1], (own, other))
        borders = find_borders(*given, of_keys=of_keys)
    return Tiles(entries, counts, in_band, origins, width, borders)


@triton.jit
def _range(column, first, block_X, length, BLOCK: tl.constexpr, G: tl.constexpr):
    """The least and greatest time of each block, from those of its granules."""
    least_X = tl.full(block_X.shape, LATEST, tl.int64)
    greatest_X = tl.full(block_X.shape, -LATEST, tl.int64)
    for part in tl.static_range(BLOCK // G):
        granule_X = block_X * (BLOCK // G) + part
        inside_X = granule_X * G < length
        at_X = column + (first + granule_X) * 6
        least_X = tl.minimum(least_X, tl.load(at_X, mask=inside_X, other=LATEST))
        greatest_X = tl.maximum(greatest_X, tl.load(at_X + 1, mask=inside_X, other=-LATEST))
    return least_X, greatest_X


@triton.jit
def _ascend(column, first, block_X, length, BLOCK: tl.constexpr, G: tl.constexpr):
    """Whether the times of each block ascend."""
    ascends_X = tl.full(block_X.shape, 1, tl.int64)
    for part in tl.static_range(BLOCK // G):
        granule_X = block_X * (BLOCK // G) + part
        at_X = column + (first + granule_X) * 6
        ascends_X &= tl.load(at_X, mask=granule_X * G < length, other=1)
    return ascends_X > 0


@triton.jit
def _leading(ranges, granule, m_X, n_X, length, M: tl.constexpr, N: tl.constexpr, G: tl.constexpr):
    """The leading bits of the least and the greatest time difference of each tile."""
    earliest_X, latest_X = _range(ranges, granule, m_X, length, M, G)
    oldest_X, newest_X = _range(ranges + 2, granule, n_X, length, N, G)
    least_X = leading_bits((earliest_X - newest_X).to(tl.float32))
    return least_X, leading_bits((latest_X - oldest_X).to(tl.float32))


@triton.jit
def _buckets(
    ranges,
    granule,
    m_X,
    n_X,
    length,
    buckets,
    M: tl.constexpr,
    N: tl.constexpr,
    G: tl.constexpr,
    OF_KEYS: tl.constexpr,
):
    """Of each tile the first and last bucket, and whether its columns ascend in time."""
    least_X, most_X = _leading(ranges, granule, m_X, n_X, length, M, N, G)
    first_X = tl.minimum(least_X - BELOW_ONE, buckets - 1)
    last_X = tl.minimum(most_X - BELOW_ONE, buckets - 1)
    if OF_KEYS:
        ascends_X = _ascend(ranges + 4, granule, m_X, length, M, G)
    else:
        ascends_X = _ascend(ranges + 5, granule, n_X, length, N, G)
    return first_X, last_X, ascends_X


@triton.jit
def _few(ascends_X, far_X, first_X, last_X):
    """1 for each far tile of one bucket; each far one of two that ascends; each other of a few."""
    is_one_X, is_few_X = far_X & (first_X == last_X), ascends_X & (last_X - first_X < FEW)
    is_two_X = is_few_X & far_X & (first_X + 1 == last_X)
    is_few_X &= (is_one_X == 0) & (is_two_X == 0)
    return is_one_X.to(tl.int32), is_two_X.to(tl.int32), is_few_X.to(tl.int32)


@triton.jit
def _others(is_other_X, is_beyond_X, HAS_BIAS: tl.constexpr):
    """1 for each tile of no other part that has no column beyond the sequence; for each that has.
    Without a bias all are of the latter.
    """
    if not HAS_BIAS:
        return (is_other_X & False).to(tl.int32), is_other_X.to(tl.int32)
    part_X = (is_other_X & is_beyond_X).to(tl.int32)
    return is_other_X.to(tl.int32) - part_X, part_X


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


@triton.jit(do_not_specialize=["band", "keys_band"])
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
    keys_in_band,
    keys_band,
    KEYS_M: tl.constexpr,
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
    OTHER: tl.constexpr = M if OF_KEYS else N
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
    seen_X, far_X = whole_X, whole_X
    first_X = tl.zeros((X,), tl.int32)
    last_X = first_X
    if ranges is not None:
        far_X &= tl.minimum(i_X, history) - (j_X + N - 1) >= positions - 1
        first_X, last_X, ascends_X = _buckets(
            ranges, start // G + b, m_X, n_X, length, buckets, M, N, G, OF_KEYS
        )
        seen_X &= ascends_X
    one_X, two_X, few_X = _few(seen_X, far_X, first_X, last_X)
    if OF_KEYS:
        away_X = m_X - own * (N // M)
        few_X = tl.where(far_X | (away_X < band - 1) & (last_i_X < history), few_X, 0)
    left_X = tl.zeros((X,), tl.int32)
    if keys_in_band is not None:
        keys_in_band += (start // N + b) * keys_band
        is_left_X = present_X & (one_X + two_X == 0)
        left_X = _is_left(keys_in_band, keys_band, is_left_X, own, x_X, length, M, N, KEYS_M)
        few_X = tl.where(left_X > 0, 0, few_X)
    is_other_X = present_X & (one_X + two_X + few_X + left_X == 0)
    near_X, part_X = _others(is_other_X, (x_X + 1) * OTHER > length, ranges is not None)
    block = start // OWN + b + own
    entry_X = x_X | (first_X << 20)
    row = counts + block * 6
    entries += block * width
    _store_list(entries, row, entry_X, present_X, one_X, two_X, few_X, near_X, part_X, left_X)
    if OF_KEYS:
        other_X = tl.where(last_i_X < history, few_X + near_X + part_X, 0)
        is_last_X = (part_X > 0) & (i_X + M > length)
        span_X = tl.where(few_X > 0, -2, first_X | (last_X << 16))
        row_of_band = in_band + block * band
        out = _store_band(row_of_band, band, positions, away_X, other_X, is_last_X, span_X, M, N)
        tl.store(row + 5, tl.sum(near_X + part_X, 0) - out)
        _store_origin(origins + block * 4, b, own, start, own * N, (length - 1) // M * M)


@triton.jit
def _store_band(
    in_band,
    band,
    positions,
    away_X,
    other_X,
    is_last_X,
    span_X,
    M: tl.constexpr,
    N: tl.constexpr,
):
    """The buckets of each tile of the band, and how many tiles are not summed with the scores."""
    last_slot = tl.where((band - 1) * M >= positions + N, band - 1, -1)
    is_last_X &= away_X * 0 <= last_slot
    slot_X = tl.where((away_X >= band - 1) & is_last_X, band - 1, away_X)
    is_in_X = (other_X > 0) & (away_X >= 0) & ((away_X < band - 1) | is_last_X)
    tl.store(in_band + slot_X, span_X, mask=is_in_X)
    return tl.sum((is_in_X & (span_X != -2)).to(tl.int32), 0)


@triton.jit
def _store_origin(row, b, own, start, first, last):
    """Which block of which sequence a block is, its first token, and its last tile's first."""
    tl.store(row, b)
    tl.store(row + 1, own)
    tl.store(row + 2, (start + first).to(tl.int32))
    tl.store(row + 3, (start + last).to(tl.int32))


@triton.jit
def _is_left(
    keys_in_band,
    band,
    is_left_X,
    own,
    x_X,
    length,
    M: tl.constexpr,
    N: tl.constexpr,
    KEYS_M: tl.constexpr,
):
    """1 for each tile of which all tiles of keys, with fewer queries each, are in the band."""
    for part in tl.static_range(M // KEYS_M):
        row = own * (M // KEYS_M) + part
        away_X = row - x_X * (N // KEYS_M)
        last_slot = tl.where(row * KEYS_M + KEYS_M > length, band - 1, -1)
        slot_X = tl.where(away_X < band - 1, away_X, last_slot)
        slot_X = tl.where(is_left_X, slot_X, -1)
        span_X = tl.load(keys_in_band + x_X * band + slot_X, mask=slot_X >= 0, other=-1)
        is_left_X &= tl.where(row * KEYS_M < length, span_X, 0) != -1
    return is_left_X.to(tl.int32)


@triton.jit
def _store_list(entries, row, entry_X, present_X, one_X, two_X, few_X, near_X, part_X, left_X):
    """The tiles of each part in turn, and where each part ends."""
    ones = tl.sum(one_X, 0)
    twos = ones + tl.sum(two_X, 0)
    fews = twos + tl.sum(few_X, 0)
    nears = fews + tl.sum(near_X, 0)
    rank_X = tl.where(one_X > 0, tl.cumsum(one_X, 0), ones + tl.cumsum(two_X, 0))
    rank_X = tl.where(few_X > 0, twos + tl.cumsum(few_X, 0), rank_X)
    rank_X = tl.where(near_X > 0, fews + tl.cumsum(near_X, 0), rank_X)
    parts = nears + tl.sum(part_X, 0)
    rank_X = tl.where(part_X > 0, nears + tl.cumsum(part_X, 0), rank_X)
    rank_X = tl.where(left_X > 0, parts + tl.cumsum(left_X, 0), rank_X) - 1
    tl.store(entries + rank_X, entry_X, mask=present_X)
    tl.store(row, ones)
    tl.store(row + 1, twos)
    tl.store(row + 2, fews)
    tl.store(row + 3, nears)
    tl.store(row + 4, parts)
    tl.store(row + 5, parts + tl.sum(left_X, 0))
