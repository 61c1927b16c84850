"""How wanted contents are by their freshness: since anybody engaged with them, since they came.

A content's vector says what it is like, and moves slowly; that all the world looks at it just now
is known at once. Both times are put into buckets as those of attention are, and a bias is learned
for each.

Legend: N queries, S contents, C buckets.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kernels.time_buckets import time_bucket

BUCKETS = 96
"""Two for each doubling of the ms, up to some thousand years."""


@dataclass(frozen=True)
class Freshness:
    """When contents were first seen and last engaged with, ms; -1 never: int64 [S]."""

    first_S: Tensor
    last_S: Tensor

    def at(self, place_n: Tensor) -> "Freshness":
        """That of the contents at these places."""
        return Freshness(self.first_S[place_n], self.last_S[place_n])

    def part(self, start: int, stop: int) -> "Freshness":
        """That of the contents from one number up to another."""
        return Freshness(self.first_S[start:stop], self.last_S[start:stop])


class FreshnessBias(nn.Module):
    """A bias by time since the last engagement, and one by age; zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.idle_C = nn.Parameter(torch.zeros(BUCKETS))
        self.age_C = nn.Parameter(torch.zeros(BUCKETS))

    def forward(self, now_N: Tensor, of: Freshness) -> Tensor:
        """The bias of every content for every query: [N, S]."""
        return self._bias(now_N.unsqueeze(1), of.last_S, of.first_S)

    def each(self, now_N: Tensor, of: Freshness) -> Tensor:
        """The bias of the n-th content for the n-th query: [N]."""
        return self._bias(now_N, of.last_S, of.first_S)

    def _bias(self, now: Tensor, last: Tensor, first: Tensor) -> Tensor:
        idle, age = time_bucket(now - last, BUCKETS), time_bucket(now - first, BUCKETS)
        bias = self.idle_C.index_select(0, idle.flatten()) + self.age_C.index_select(
            0, age.flatten()
        )
        return bias.view(idle.shape)
