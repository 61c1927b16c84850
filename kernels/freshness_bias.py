"""A bias for each query and content, by how fresh the content is when it is asked for.

It is learned by bucket (kernels/time_buckets.py) of three things: the ms since somebody last
engaged with the content, those since it was first seen, and its heat. Heat is a number that is
known for the time of the last engagement and halves with each half-life after.

N queries · S contents · H half-lives · C buckets.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.constants import constant
from kernels.implementations import is_triton
from kernels.time_buckets import time_bucket

HALF_LIVES = (3_600_000, 86_400_000)
"""Of heat, in ms: an hour, a day."""

GRAIN = 2**20
"""Heat is counted in parts of an engagement, so that its logarithm has buckets below one, too."""

MOST = 128
"""Buckets that Triton takes."""


@dataclass(frozen=True)
class Freshness:
    """When contents were first seen and last engaged with, ms, -1 never: int64 [S]; and their heat
    at that time: float64 [H, S]."""

    first_S: Tensor
    last_S: Tensor
    heat_HS: Tensor

    def at(self, place_n: Tensor) -> "Freshness":
        """That of the contents at these places."""
        return Freshness(self.first_S[place_n], self.last_S[place_n], self.heat_HS[:, place_n])

    def part(self, start: int, stop: int) -> "Freshness":
        """That of the contents from one number up to another."""
        here = slice(start, stop)
        return Freshness(self.first_S[here], self.last_S[here], self.heat_HS[:, here])


def freshness_bias(
    tables: tuple[Tensor, Tensor, Tensor],
    now_N: Tensor,
    of: Freshness,
    *,
    each: bool = False,
    implementation: str | None = None,
) -> Tensor:
    """The bias of every content for every query, [N, S], in the type of the tables: by time since
    the last engagement [C], by age [C], and by heat [H, C]. `now_N` is int64, ms. With `each` that
    of the n-th content for the n-th query alone, [N].

    `implementation` is "triton" (the default on a GPU for float32 and bfloat16 and up to MOST
    buckets; sums of a gradient are float32, in one order) or "reference". Raises ValueError for
    shapes that do not go together, and where Triton is asked for and there are more buckets.
    """
    idle_C, age_C, heat_HC = tables
    if each and now_N.shape != of.last_S.shape:
        raise ValueError(f"{len(now_N)} queries and {len(of.last_S)} contents; must be as many")
    if not idle_C.shape == age_C.shape == heat_HC.shape[1:] or len(heat_HC) != len(of.heat_HS):
        shapes = [tuple(table.shape) for table in (idle_C, age_C, heat_HC, of.heat_HS)]
        raise ValueError(f"tables and heat are {shapes}, not [C], [C], [H, C] and [H, S]")
    if implementation == "triton" and len(idle_C) > MOST:
        raise ValueError(f"{len(idle_C)} buckets; Triton's kernel takes {MOST}")
    if is_triton(idle_C, implementation) and len(idle_C) <= MOST:
        bias: Tensor = _FreshnessBias.apply(*tables, now_N, of, each)
        return bias
    return _by_reference(*tables, now_N if each else now_N.unsqueeze(1), of)


def cooled(elapsed: Tensor) -> Tensor:
    """What is left of heat after some ms, of which none is left below zero: float64 [H, …]."""
    lives_H = constant(HALF_LIVES, elapsed.device, torch.float64)
    lives_H = lives_H.view(-1, *(1 for _ in elapsed.shape))
    return torch.exp2(-elapsed.clamp(min=0) / lives_H)


def _by_reference(
    idle_C: Tensor, age_C: Tensor, heat_HC: Tensor, now: Tensor, of: Freshness
) -> Tensor:
    idle, buckets = now - of.last_S, len(idle_C)
    bias = _entries(idle_C, time_bucket(idle, buckets))
    bias = bias + _entries(age_C, time_bucket(now - of.first_S, buckets))
    for table_C, heat_S, left in zip(heat_HC, of.heat_HS, cooled(idle), strict=True):
        bias = bias + _entries(table_C, time_bucket((heat_S * left * GRAIN).long(), buckets))
    return bias


def _entries(table_C: Tensor, bucket: Tensor) -> Tensor:
    return table_C.index_select(0, bucket.flatten()).view(bucket.shape)


class _FreshnessBias(torch.autograd.Function):
    """Keeps what it is given, and none of the buckets."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        """`arguments` are the three tables, the times of queries, the freshness, and `each`."""
        from kernels.freshness_bias_triton import forward

        *tables, now_N, of, ctx.each = arguments
        known = (now_N, of.first_S, of.last_S, of.heat_HS)
        ctx.save_for_backward(*known)
        ctx.buckets = len(tables[0])
        return forward(tables, known, HALF_LIVES, GRAIN, ctx.each)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dbias: Tensor) -> tuple[Tensor | None, ...]:
        """Those of the tables."""
        from kernels.freshness_bias_triton import backward

        sums_KC = backward(dbias, ctx.saved_tensors, HALF_LIVES, GRAIN, ctx.each, ctx.buckets)
        return sums_KC[0], sums_KC[1], sums_KC[2:], None, None, None
