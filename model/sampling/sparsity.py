"""How much Stochastic Length spares, in the paper's figures and as shares of what there was.

The paper's *sparsity* (table 3 and its appendix) is one minus the mean length of the sequences
trained on over N, the longest: 1 − Σ n' / (R N) over R sequences. Sequences that were short to
begin with count as sparse; the row α = 2.0 of its table is what there is of this without
Stochastic Length. Its s2 is the same of the attention's pairs: 1 − Σ n'² / (R N²). `tokens_share`
and `pairs_share` compare with the same sequences left whole.
"""

from dataclasses import asdict, dataclass
from typing import Self

import numpy as np

from model.sampling.token_rows import Bools, Ints


@dataclass(frozen=True)
class Sparsity:
    """Sums over sequences: n tokens before and n' after, n at most N, the longest."""

    longest: int
    rows: int = 0
    replaced: int = 0
    tokens_before: int = 0
    tokens_after: int = 0
    pairs_before: int = 0
    pairs_after: int = 0

    @classmethod
    def of(cls, longest: int, replaced_R: Bools, before_R: Ints, after_R: Ints) -> Self:
        """The sums over some sequences, of which some were replaced by subsequences."""
        return cls(
            longest,
            len(before_R),
            int(replaced_R.sum()),
            int(before_R.sum()),
            int(after_R.sum()),
            int(np.dot(before_R, before_R)),
            int(np.dot(after_R, after_R)),
        )

    def __add__(self, other: "Sparsity") -> "Sparsity":
        if self.longest != other.longest:
            raise ValueError(f"sums for N = {self.longest} and {other.longest} can't be added")
        return Sparsity(
            self.longest,
            self.rows + other.rows,
            self.replaced + other.replaced,
            self.tokens_before + other.tokens_before,
            self.tokens_after + other.tokens_after,
            self.pairs_before + other.pairs_before,
            self.pairs_after + other.pairs_after,
        )

    def state(self) -> dict[str, int]:
        """Plain values: `Sparsity(**state)` is the same again."""
        return asdict(self)

    @property
    def sparsity(self) -> float:
        """The paper's: one minus the mean length over N; 0 of no sequences."""
        return 1 - self.tokens_after / (self.rows * self.longest) if self.rows else 0.0

    @property
    def s2(self) -> float:
        """The paper's of attention: one minus the mean of n'² over N²; 0 of no sequences."""
        return 1 - self.pairs_after / (self.rows * self.longest**2) if self.rows else 0.0

    @property
    def tokens_share(self) -> float:
        """The share of the tokens that is left, Σ n' / Σ n; 1 of no sequences."""
        return self.tokens_after / self.tokens_before if self.tokens_before else 1.0

    @property
    def pairs_share(self) -> float:
        """The share of the attention's pairs that is left, Σ n'² / Σ n²; 1 of no sequences."""
        return self.pairs_after / self.pairs_before if self.pairs_before else 1.0
