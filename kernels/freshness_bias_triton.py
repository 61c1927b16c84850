"""The bias of `freshness_bias` in Triton: buckets are reckoned where they are needed, forward and
backward, and never written.

N queries · S contents · H half-lives, 2 · K = 2 + H tables · C buckets · E pairs of a program, or R
of them at a time · P programs of the backward, each with its own sums.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.constants import constant
from kernels.time_buckets import EXPONENT_BIAS, MANTISSA_BITS, TIME_BITS

PAIRS = 512
ROWS = 32
PROGRAMS = 1024

SHIFT = tl.constexpr(MANTISSA_BITS - TIME_BITS)
BELOW_ONE = tl.constexpr((EXPONENT_BIAS << TIME_BITS) - 1)

Known = tuple[Tensor, ...]
"""Times of queries, when contents were first seen and last engaged with, and their heat."""


def forward(
    tables: Sequence[Tensor], known: Known, lives: tuple[int, int], grain: int, each: bool
) -> Tensor:
    """As `freshness_bias`, with the half-lives of heat and the parts in which it is counted."""
    now_N, contents = known[0], len(known[1])
    bias = tables[0].new_empty((len(now_N),) if each else (len(now_N), contents))
    if pairs := bias.numel():
        _forward[(triton.cdiv(pairs, PAIRS),)](
            *(bias, *(table.contiguous() for table in tables)),
            *(x.contiguous() for x in known),
            *(constant(lives, now_N.device, torch.float64), pairs, contents, len(tables[0])),
            GRAIN=grain,
            EACH=each,
            E=PAIRS,
        )
    return bias


def backward(
    dbias: Tensor, known: Known, lives: tuple[int, int], grain: int, each: bool, buckets: int
) -> Tensor:
    """The gradients of the tables one after the other, [K, C], in the type of that of the bias."""
    pairs, padded = dbias.numel(), max(triton.next_power_of_2(buckets), 16)
    programs = max(min(PROGRAMS, triton.cdiv(pairs, ROWS)), 1)
    shape = (programs, 2 + len(lives), padded)
    sum_PKC = torch.empty(shape, dtype=torch.float32, device=dbias.device)
    _backward[(programs,)](
        *(sum_PKC, dbias.contiguous(), *(x.contiguous() for x in known)),
        *(constant(lives, dbias.device, torch.float64), pairs, len(known[1]), buckets),
        GRAIN=grain,
        EACH=each,
        R=ROWS,
        C=padded,
    )
    return sum_PKC.sum(0)[:, :buckets].to(dbias.dtype)


@triton.jit(do_not_specialize=["pairs", "contents"])
def _forward(
    bias_ptr,
    idle_ptr,
    age_ptr,
    heat_ptr,
    now,
    first,
    last,
    heat,
    lives,
    pairs,
    contents,
    buckets,
    GRAIN: tl.constexpr,
    EACH: tl.constexpr,
    E: tl.constexpr,
):
    e_E = tl.program_id(0).to(tl.int64) * E + tl.arange(0, E)
    idle_E, age_E, warm_E, hot_E = _buckets(
        e_E, now, first, last, heat, lives, pairs, contents, buckets, GRAIN, EACH
    )
    bias_E = tl.load(idle_ptr + idle_E) + tl.load(age_ptr + age_E)
    bias_E += tl.load(heat_ptr + warm_E)
    bias_E += tl.load(heat_ptr + buckets + hot_E)
    tl.store(bias_ptr + e_E, bias_E, mask=e_E < pairs)


@triton.jit(do_not_specialize=["pairs", "contents"])
def _backward(
    sums_ptr,
    dbias_ptr,
    now,
    first,
    last,
    heat,
    lives,
    pairs,
    contents,
    buckets,
    GRAIN: tl.constexpr,
    EACH: tl.constexpr,
    R: tl.constexpr,
    C: tl.constexpr,
):
    """The sums of every so many-th R pairs, which meet at the end only."""
    c_1C = tl.arange(0, C)[None, :]
    idle_RC = tl.zeros((R, C), tl.float32)
    age_RC = tl.zeros((R, C), tl.float32)
    warm_RC = tl.zeros((R, C), tl.float32)
    hot_RC = tl.zeros((R, C), tl.float32)
    for piece in range(tl.program_id(0), tl.cdiv(pairs, R), tl.num_programs(0)):
        e_R = tl.full((), 0, tl.int64) + piece * R + tl.arange(0, R)
        x_R1 = tl.load(dbias_ptr + e_R, mask=e_R < pairs, other=0).to(tl.float32)[:, None]
        idle_R, age_R, warm_R, hot_R = _buckets(
            e_R, now, first, last, heat, lives, pairs, contents, buckets, GRAIN, EACH
        )
        idle_RC += tl.where(idle_R[:, None] == c_1C, x_R1, 0.0)
        age_RC += tl.where(age_R[:, None] == c_1C, x_R1, 0.0)
        warm_RC += tl.where(warm_R[:, None] == c_1C, x_R1, 0.0)
        hot_RC += tl.where(hot_R[:, None] == c_1C, x_R1, 0.0)
    sums_C = sums_ptr + tl.program_id(0) * 4 * C + tl.arange(0, C)
    tl.store(sums_C, tl.sum(idle_RC, 0))
    tl.store(sums_C + C, tl.sum(age_RC, 0))
    tl.store(sums_C + 2 * C, tl.sum(warm_RC, 0))
    tl.store(sums_C + 3 * C, tl.sum(hot_RC, 0))


@triton.jit
def _buckets(
    e_E,
    now,
    first,
    last,
    heat,
    lives,
    pairs,
    contents,
    buckets,
    GRAIN: tl.constexpr,
    EACH: tl.constexpr,
):
    """The buckets of pairs of a query and a content: since the last engagement, of age, of heat by
    either half-life."""
    is_pair_E = e_E < pairs
    n_E, s_E = e_E, e_E
    if not EACH:
        n_E, s_E = e_E // contents, e_E % contents
    now_E = tl.load(now + n_E, mask=is_pair_E, other=0)
    last_E = tl.load(last + s_E, mask=is_pair_E, other=0)
    first_E = tl.load(first + s_E, mask=is_pair_E, other=0)
    since_E = tl.maximum(now_E - last_E, 0).to(tl.float64)
    warm_E = tl.load(heat + s_E, mask=is_pair_E, other=0)
    hot_E = tl.load(heat + contents + s_E, mask=is_pair_E, other=0)
    warm_E = warm_E * tl.exp2(-since_E / tl.load(lives)) * GRAIN
    hot_E = hot_E * tl.exp2(-since_E / tl.load(lives + 1)) * GRAIN
    return (
        _bucket(now_E - last_E, buckets),
        _bucket(now_E - first_E, buckets),
        _bucket(warm_E.to(tl.int64), buckets),
        _bucket(hot_E.to(tl.int64), buckets),
    )


@triton.jit
def _bucket(number_E, buckets):
    """As kernels/time_buckets.py."""
    bits_E = number_E.to(tl.float32).to(tl.int32, bitcast=True)
    bucket_E = tl.where(number_E > 0, (bits_E >> SHIFT) - BELOW_ONE, 0)
    return tl.minimum(bucket_E, buckets - 1)
