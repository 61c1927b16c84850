"""What the kernels of HSTU attention look up: tables of biases and times, as they read them.

Times are taken apart into two float32, whose differences are exact (within a sequence that lasts no
more than 2^47 ms, 4,400 years), and the least and greatest time of each granule is told.

H heads · P positions · C buckets · T tokens · G tokens of a granule · X entries. A block's number
is that of its sequence's start, in blocks, plus that of its sequence, plus its own: no two have the
same.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import time_buckets
from kernels.attention_plan import AttentionPlan
from kernels.hstu_attention_tile import (
    BELOW_ONE,
    BELOW_ZERO,
    FAR_ENTRIES,
    TIME_ENTRIES,
    bounds,
)
from kernels.relative_bias import RelativeBias

HALF_BITS = tl.constexpr(time_buckets.MANTISSA_BITS + 1)
HALF = tl.constexpr(1 << (time_buckets.MANTISSA_BITS + 1))
BELOW_HALF = tl.constexpr((1 << (time_buckets.MANTISSA_BITS + 1)) - 1)
LATEST = tl.constexpr(2**62)
TABLE_BLOCK = 1024  # entries


class Clocks(NamedTuple):
    """The times of queries and keys, taken apart; and of each granule the least and the greatest
    of queries, then of keys, then whether each of both ascend to the next granule's first: 1 or 0.
    """

    query_T: Tensor
    key_T: Tensor
    ranges_G6: Tensor


def blocks(tokens: int, sequences: int, block: int) -> int:
    """More than the numbers of all blocks."""
    return tokens // block + sequences + 1


def clocks(plan: AttentionPlan, sequences: tuple[Any, ...], granule: int) -> Clocks | None:
    """The times of a plan as kernels read them; None where it has none."""
    if plan.query_time_T is None or plan.key_time_T is None:
        return None
    times = (plan.query_time_T.contiguous(), plan.key_time_T.contiguous())
    return plan.once(("clocks", granule), lambda: _clocks(times, sequences, plan.longest, granule))


def _clocks(
    times: tuple[Tensor, Tensor], sequences: tuple[Any, ...], longest: int, granule: int
) -> Clocks:
    offsets_B1, tokens = sequences[0], len(times[0])
    count = len(offsets_B1) - 1
    query_clock_T = offsets_B1.new_empty(tokens + BELOW_ZERO.value)
    key_clock_T = torch.empty_like(query_clock_T)
    ranges_G6 = offsets_B1.new_empty(blocks(tokens, count, granule), 6)
    _read_clocks[(count, triton.cdiv(longest, granule))](
        query_clock_T, key_clock_T, ranges_G6, *times, sequences, G=granule
    )
    return Clocks(query_clock_T, key_clock_T, ranges_G6)


def looked_up(
    bias: RelativeBias | None, plan: AttentionPlan, sequences: tuple[Any, ...], granule: int
) -> tuple[Any, ...] | None:
    """What kernels are given of a bias, as kernels/hstu_attention_tile.py has it; or None."""
    made = None if bias is None else clocks(plan, sequences, granule)
    if bias is None or made is None:
        return None
    distance_2HX, time_HX, far_HC4 = _tables(bias, plan.longest)
    sizes = distance_2HX.shape[2], bias.time_HC.shape[1]
    return distance_2HX, time_HX, far_HC4, made.query_T, made.key_T, *sizes


def _tables(bias: RelativeBias, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    """Halves of biases, float32: by distance, upwards and downwards; by the leading bits of a time;
    and of tiles with few buckets, by the first: its bias with that of the last position, what is
    more in the next one, what is more again in the one after that, and its bias alone.
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
    row_X = far + (h * buckets + x_X) * FAR_ENTRIES
    tl.store(row_X, half_0_X + last, mask=x_X < buckets)
    tl.store(row_X + 1, half_1_X - half_0_X, mask=x_X < buckets)
    tl.store(row_X + 2, half_2_X - half_1_X, mask=x_X < buckets)
    tl.store(row_X + 3, half_0_X, mask=x_X < buckets)


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
    row = ranges + (start // G + b + granule) * 6
    has_next_G = i_G + 1 < length
    _write_clock(query_clock, row, query_time, origin, start + i_G, inside_G)
    _write_clock(key_clock, row + 2, key_time, origin, start + i_G, inside_G)
    tl.store(row + 4, _ascends(query_time, start + i_G, has_next_G))
    tl.store(row + 5, _ascends(key_time, start + i_G, has_next_G))


@triton.jit
def _ascends(times, token_G, has_next_G):
    """1 where no time is after that of the token next to it, else 0."""
    time_G = tl.load(times + token_G, mask=has_next_G, other=0)
    next_G = tl.load(times + token_G + 1, mask=has_next_G, other=0)
    return tl.min((time_G <= next_G).to(tl.int64), 0)


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
