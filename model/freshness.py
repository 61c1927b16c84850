"""How wanted contents are by their freshness: how old, how long left alone, how hot just now.

A content's vector says what it is like, and moves slowly; that all the world looks at it just now
is known at once. Times are put into buckets as those of attention are, and so is heat; a bias is
learned for each bucket (kernels/freshness_bias.py).

Legend: N queries, S contents, C buckets, H half-lives.
"""

import torch
from torch import Tensor, nn

from kernels.freshness_bias import HALF_LIVES, Freshness, freshness_bias

BUCKETS = 96
"""Two for each doubling: of the ms, up to some thousand years, and of heat."""


class FreshnessBias(nn.Module):
    """A bias by time since the last engagement, by age, and by heat; zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.idle_C = nn.Parameter(torch.zeros(BUCKETS))
        self.age_C = nn.Parameter(torch.zeros(BUCKETS))
        self.heat_HC = nn.Parameter(torch.zeros(len(HALF_LIVES), BUCKETS))

    def forward(self, now_N: Tensor, of: Freshness, *, each: bool = False) -> Tensor:
        """The bias of every content for every query, [N, S]; or that of the n-th content for the
        n-th query, [N]."""
        return freshness_bias((self.idle_C, self.age_C, self.heat_HC), now_N, of, each=each)
