"""How wanted contents are by their freshness: how old, how long left alone, how hot just now.

A content's vector says what it is like, and moves slowly; that all the world looks at it just now
is known at once. Times are put into buckets as those of attention are, and so is heat; a bias is
learned for each bucket.

Legend: N queries, S contents, C buckets, H half-lives.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kernels.bucket_entries import bucket_entries
from kernels.time_buckets import time_bucket

BUCKETS = 96
"""Two for each doubling: of the ms, up to some thousand years, and of heat."""

HALF_LIVES = (3_600_000, 86_400_000)
"""Of heat, in ms: an hour, a day."""

GRAIN = 2**20
"""Heat is counted in parts of an engagement, so that its logarithm has buckets below one, too."""


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


class FreshnessBias(nn.Module):
    """A bias by time since the last engagement, by age, and by heat; zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.idle_C = nn.Parameter(torch.zeros(BUCKETS))
        self.age_C = nn.Parameter(torch.zeros(BUCKETS))
        self.heat_HC = nn.Parameter(torch.zeros(len(HALF_LIVES), BUCKETS))

    def forward(self, now_N: Tensor, of: Freshness) -> Tensor:
        """The bias of every content for every query: [N, S]."""
        return self._bias(lambda of_content: now_N.unsqueeze(1) - of_content, of)

    def each(self, now_N: Tensor, of: Freshness) -> Tensor:
        """The bias of the n-th content for the n-th query: [N]."""
        return self._bias(lambda of_content: now_N - of_content, of)

    def _bias(self, elapsed: Callable[[Tensor], Tensor], of: Freshness) -> Tensor:
        idle = elapsed(of.last_S)
        bias = bucket_entries(self.idle_C, time_bucket(idle, BUCKETS))
        bias = bias + bucket_entries(self.age_C, time_bucket(elapsed(of.first_S), BUCKETS))
        for table_C, heat_S, left in zip(self.heat_HC, of.heat_HS, cooled(idle), strict=True):
            now = (heat_S * left * GRAIN).long()
            bias = bias + bucket_entries(table_C, time_bucket(now, BUCKETS))
        return bias


def cooled(elapsed: Tensor) -> Tensor:
    """What is left of heat after some ms, none of which are below zero: float64 [H, …]."""
    lives_H = torch.tensor(HALF_LIVES, dtype=torch.float64, device=elapsed.device)
    lives_H = lives_H.view(-1, *(1 for _ in elapsed.shape))
    return torch.exp2(-elapsed.clamp(min=0) / lives_H)
