"""Sampling: a sequence of n tokens is trained on with probability min(1, c / n), as S14 draws.

The draw is a hash of the sequence's id, so that a replay draws the same. With the seed that the
pipeline thinned with, it is the same draw again: what was thinned by c₀ and is then drawn by c ≤ c₀
is what c alone would have drawn. Of what arrives, the share min(1, c / n) / min(1, c₀ / n) stays.

Legend (numpy arrays): R rows, one sequence each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from model.sampling.token_rows import Bools, Floats, Ints
from schemas.failures import UsageError
from schemas.spec import Spec
from schemas.thinning import drawn, draws

_OCTAVES = 32


@dataclass(frozen=True)
class Sampler:
    """c `budget` in tokens, None for all; the seed; and c₀ `thinned`, None where all arrives."""

    budget: int | None = None
    seed: int = 0
    thinned: int | None = None

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 1:
            raise UsageError(f"a sampling budget of {self.budget} tokens; must be at least 1")

    @classmethod
    def of(cls, spec: Spec, budget: int | None) -> Self:
        """For sequences of a spec, with the seed of its thinning, if it has any."""
        if spec.sampling is None:
            return cls(budget)
        return cls(budget, spec.sampling.seed, spec.sampling.tokens)

    def with_budget(self, budget: int | None) -> "Sampler":
        """The same with another c."""
        return replace(self, budget=budget)

    @property
    def effective(self) -> int | None:
        """The c that holds: the budget, but never above what the pipeline thinned by."""
        return min((c for c in (self.budget, self.thinned) if c is not None), default=None)

    def kept(self, sequence_ids: Sequence[str], tokens_R: Ints) -> Bools:
        """True where a sequence is trained on."""
        if self.effective is None:
            return np.ones(len(tokens_R), bool)
        return drawn(draws(self.seed, sequence_ids), tokens_R, self.effective)

    def probability(self, tokens_R: Ints) -> Floats:
        """The probability that a sequence that has arrived is trained on."""
        return _share(tokens_R, self.effective) / _share(tokens_R, self.thinned)

    def standing_for(self, tokens_R: Ints) -> Floats:
        """How many sequences each stands for that has come through the pipeline's thinning."""
        return 1 / _share(tokens_R, self.thinned)


def _share(tokens_R: Ints, budget: int | None) -> Floats:
    """min(1, c / n)."""
    if budget is None:
        return np.ones(len(tokens_R))
    return np.minimum(1, budget / np.maximum(tokens_R, 1))


class Rate(NamedTuple):
    """Of the sequences of `least` to `most` tokens: how many arrived, were drawn, and should be."""

    least: int
    most: int
    seen: int
    drawn: int
    expected: float


class Rates:
    """What was drawn beside what was to be expected, by length in octaves; adds up over lanes."""

    def __init__(self) -> None:
        self._sums = np.zeros((3, _OCTAVES))

    def add(self, tokens_R: Ints, kept_R: Bools, probability_R: Floats) -> None:
        """Counts sequences that arrived, those of them that were drawn, and their probabilities."""
        octave_R = np.frexp(np.maximum(tokens_R, 1))[1] - 1
        counted = (None, kept_R, probability_R)
        self._sums += [np.bincount(octave_R, each, minlength=_OCTAVES) for each in counted]

    def rows(self) -> list[Rate]:
        """The octaves that sequences have come of, the shortest first."""
        return [
            Rate(2**octave, 2 ** (octave + 1) - 1, int(seen), int(kept), float(expected))
            for octave, (seen, kept, expected) in enumerate(self._sums.T)
            if seen
        ]

    def state(self) -> list[list[float]]:
        """Plain values for `of_state`."""
        sums: list[list[float]] = self._sums.tolist()
        return sums

    @classmethod
    def of_state(cls, state: Sequence[Sequence[float]]) -> Self:
        """What `state` was taken of."""
        rates = cls()
        rates._sums += np.asarray(state, np.float64)
        return rates

    @classmethod
    def total(cls, parts: Iterable["Rates"]) -> Self:
        """The sums of several lanes."""
        rates = cls()
        for part in parts:
            rates._sums += part._sums
        return rates
