"""Stochastic Length (Zhai et al., 2024, section 3.2, equation 4): long sequences mostly shortened.

With N the longest, a sequence of n > N^(α/2) tokens stays whole with probability N^α / n², and is
otherwise replaced by a subsequence of at most N^(α/2) tokens. So attention costs O(N^α) pairs a
sequence where it would cost N². n and N count tokens, those of features too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self, get_args

import numpy as np
import pyarrow as pa

from model.sampling.sparsity import Sparsity
from model.sampling.subsequence import Choice, ranks, subsequences
from model.sampling.token_rows import Bools, Floats, Ints, TokenRows, tokens_of, with_tokens
from schemas.failures import UsageError
from schemas.sequences import FIRST_FEATURE
from schemas.spec import Spec
from schemas.thinning import draws


@dataclass(frozen=True)
class StochasticLength:
    """N `longest`, α `alpha`, how a subsequence is chosen, and a seed.

    `sets` are the token types of the spec's set features. What is drawn depends on the seed and
    the sequence's id alone, so that a replay draws the same.
    """

    longest: int
    alpha: float
    choice: Choice = "recency"
    seed: int = 0
    sets: frozenset[int] = field(default=frozenset())

    def __post_init__(self) -> None:
        if not 1 < self.alpha <= 2:
            raise UsageError(f"alpha is {self.alpha}; must be more than 1 and at most 2")
        if self.longest < 4:
            raise UsageError(f"the longest sequence has {self.longest} tokens; must be at least 4")
        if self.choice not in get_args(Choice):
            choices = ", ".join(get_args(Choice))
            raise UsageError(f"subsequences by {self.choice!r}; must be one of {choices}")

    @classmethod
    def of(cls, spec: Spec, longest: int, alpha: float, choice: Choice, seed: int) -> Self:
        """For sequences of a spec."""
        kinds = enumerate((each.kind for each in spec.features.values()), FIRST_FEATURE)
        sets = frozenset(number for number, kind in kinds if kind == "set")
        return cls(longest, alpha, choice, seed, sets)

    @property
    def limit(self) -> int:
        """N^(α/2), rounded down: the most tokens of a subsequence."""
        return int(self.longest ** (self.alpha / 2) + 1e-9)  # 1024^0.6 is 64, not 63.99…

    def whole(self, tokens_R: Ints) -> Floats:
        """The probability that a sequence of so many tokens stays whole."""
        within_R = np.clip(tokens_R, 1, self.longest)
        whole_R: Floats = np.minimum(1, self.longest**self.alpha / within_R.astype(np.float64) ** 2)
        return whole_R

    def expected(self, tokens_R: Ints) -> Floats:
        """The tokens that are left of a sequence, in the mean, where subsequences are full."""
        within_R, whole_R = np.minimum(tokens_R, self.longest), self.whole(tokens_R)
        return whole_R * within_R + (1 - whole_R) * np.minimum(within_R, self.limit)

    def replaced(self, sequence_ids: Sequence[str], tokens_R: Ints) -> Bools:
        """True where a subsequence takes a sequence's place.

        The draw is the xxh3-64 of `seed:length:id` over 2^64, and not that of S14: what S14 kept
        of the long sequences has small draws, and with these all would stay whole.
        """
        draw_R = draws(self.seed, [f"length:{name}" for name in sequence_ids])
        return draw_R >= self.whole(tokens_R)

    def shortened(self, batch: pa.RecordBatch) -> "Shortened":
        """The rows of a batch, long ones mostly replaced.

        A row of more than N tokens is first cut to its newest contents within N.
        """
        before_R = tokens_of(batch)
        names = batch["sequence_id"].to_pylist()
        over_R = before_R > self.longest
        batch = self._cut(batch, names, over_R, self.longest, "newest")
        whole_R = tokens_of(batch)
        replaced_R = self.replaced(names, whole_R)
        batch = self._cut(batch, names, replaced_R, self.limit, self.choice)
        return Shortened(batch, self.longest, replaced_R, whole_R)

    def _cut(
        self, batch: pa.RecordBatch, names: Sequence[str], cut_R: Bools, limit: int, choice: Choice
    ) -> pa.RecordBatch:
        """The batch with some of its rows cut to subsequences of at most `limit` tokens."""
        if not cut_R.any():
            return batch
        rows = TokenRows.of(batch)
        part = rows.only(cut_R)
        cut_names = [name for name, is_cut in zip(names, cut_R, strict=True) if is_cut]
        rank_E = ranks(part, choice, self.seed, cut_names)
        keep_T = np.ones(len(rows.type_T), bool)
        limit_R = np.full(int(cut_R.sum()), limit)
        keep_T[cut_R[rows.row_T]] = subsequences(part, limit_R, rank_E, self.sets)
        return with_tokens(batch, rows, keep_T)


@dataclass(frozen=True)
class Shortened:
    """Rows after it: which were replaced, and the tokens that each had before, N at most."""

    batch: pa.RecordBatch
    longest: int
    replaced_R: Bools
    before_R: Ints

    def sparsity(self, of_R: Bools) -> Sparsity:
        """What was spared of some of the rows."""
        after_R = tokens_of(self.batch)
        return Sparsity.of(self.longest, self.replaced_R[of_R], self.before_R[of_R], after_R[of_R])
