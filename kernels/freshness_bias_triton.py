"""The bias of `freshness_bias` in Triton: one kernel forward; backward one that writes buckets, in
a byte each, and one that adds up by bucket. To add up where buckets are reckoned was some fifty
times as slow: threads that share a pair's sums all reckon its buckets.

N queries · S contents · H half-lives, 2 · K = 2 + H tables · C buckets · E pairs of a program, or
of those that it takes at a time · S shares of the pairs, each with its own sums.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.constants import constant
from kernels.time_buckets import EXPONENT_BIAS, MANTISSA_BITS, TIME_BITS

PAIRS = 512
SHARES = 512
AT_ONCE = 256

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
    tables = 2 + len(lives)
    bucket_KE = torch.empty((tables, pairs), dtype=torch.uint8, device=dbias.device)
    if pairs:
        _write_buckets[(triton.cdiv(pairs, PAIRS),)](
            *(bucket_KE, *(x.contiguous() for x in known)),
            *(constant(lives, dbias.device, torch.float64), pairs, len(known[1]), buckets),
            GRAIN=grain,
            EACH=each,
            E=PAIRS,
        )
    shares = max(min(SHARES, triton.cdiv(pairs, AT_ONCE)), 1)
    sum_SKC = torch.empty((shares, tables, padded), dtype=torch.float32, device=dbias.device)
    _sum_shares[(shares, tables)](
        sum_SKC, dbias.contiguous(), bucket_KE, pairs, C=padded, E=AT_ONCE
    )
    return sum_SKC.sum(0)[:, :buckets].to(dbias.dtype)


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
def _write_buckets(
    bucket_ptr,
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
    """Those of some pairs, of each table."""
    e_E = tl.program_id(0).to(tl.int64) * E + tl.arange(0, E)
    idle_E, age_E, warm_E, hot_E = _buckets(
        e_E, now, first, last, heat, lives, pairs, contents, buckets, GRAIN, EACH
    )
    bucket_E = bucket_ptr + e_E
    size = tl.full((), 0, tl.int64) + pairs
    tl.store(bucket_E, idle_E.to(tl.uint8), mask=e_E < pairs)
    tl.store(bucket_E + size, age_E.to(tl.uint8), mask=e_E < pairs)
    tl.store(bucket_E + 2 * size, warm_E.to(tl.uint8), mask=e_E < pairs)
    tl.store(bucket_E + 3 * size, hot_E.to(tl.uint8), mask=e_E < pairs)


@triton.jit(do_not_specialize=["pairs"])
def _sum_shares(sums, dbias, bucket, pairs, C: tl.constexpr, E: tl.constexpr):
    """The sums by bucket of every so many-th piece, for a table."""
    c_C = tl.arange(0, C)
    sum_C = tl.zeros((C,), tl.float32)
    size = tl.full((), 0, tl.int64) + pairs
    bucket += tl.program_id(1) * size
    for piece in range(tl.program_id(0), tl.cdiv(pairs, E), tl.num_programs(0)):
        at_E = tl.full((), 0, tl.int64) + piece * E + tl.arange(0, E)
        x_E = tl.load(dbias + at_E, mask=at_E < pairs, other=0).to(tl.float32)
        bucket_E = tl.load(bucket + at_E, mask=at_E < pairs, other=0).to(tl.int32)
        is_in_EC = bucket_E[:, None] == c_C[None, :]
        sum_C += tl.sum(tl.where(is_in_EC, x_E[:, None], 0.0), 0)
    row = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
    tl.store(sums + row * C + c_C, sum_C)


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
