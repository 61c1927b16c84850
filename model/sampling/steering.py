"""Steering c: as much is drawn of what arrives as the trainer can take.

What arrives is kept as an exponential mean over the sequences' own time, the end of their session,
so that the same stream gives the same c whenever and however fast it is read, a backlog too. By
classes of length it says how many sequences arrive a second, their n, and g, what one costs when
it is trained on (less than n under Stochastic Length). At c they cost Σ rate · g · min(1, c / n)
tokens a second, which is linear in c between the n of two classes: so the c at which that is the
capacity is found exactly, without a search.

Legend (numpy arrays): R rows, one sequence each; L classes of length, four an octave.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from model.sampling.token_rows import Floats, Ints
from schemas.failures import UsageError

_CLASSES = 4 * 32


class Steering:
    """Finds c for one lane.

    `capacity` is what the trainer can take of the lane, tokens a second of the sequences' time.
    `memory_ms` is the time that the mean reaches back; until
    a quarter of it has been seen, c is `first` (None: all).
    """

    def __init__(
        self, capacity: float, first: int | None = None, memory_ms: int = 3_600_000
    ) -> None:
        if capacity <= 0:
            raise UsageError(f"a capacity of {capacity} tokens a second; must be more than 0")
        self._capacity, self._first, self._memory_ms = capacity, first, memory_ms
        self._begun: int | None = None
        self._now = 0
        self._sums_3L = np.zeros((3, _CLASSES))

    def arrived(self, time_R: Ints, tokens_R: Ints, cost_R: Floats, number_R: Floats) -> None:
        """Takes note of sequences: session ends in ms, n, g, and how many each stands for."""
        if not len(time_R):
            return
        if self._begun is None:
            self._begun = self._now = int(time_R.min())
        now = max(self._now, int(time_R.max()))
        self._sums_3L *= np.exp((self._now - now) / self._memory_ms)
        self._now = now
        weight_R = number_R * np.exp((time_R - now) / self._memory_ms)
        class_R = (4 * np.log2(np.maximum(tokens_R, 1))).astype(np.int64)
        weighted_3R = (weight_R, weight_R * tokens_R, weight_R * cost_R)
        self._sums_3L += [np.bincount(class_R, each, minlength=_CLASSES) for each in weighted_3R]

    @property
    def budget(self) -> int | None:
        """c, at least 1; None where all that arrives can be taken."""
        seen_ms = 0 if self._begun is None else self._now - self._begun
        if seen_ms < self._memory_ms / 4:
            return self._first
        # The mean of a time shorter than its memory lacks what came before.
        covered_s = self._memory_ms / 1000 * -np.expm1(-seen_ms / self._memory_ms)
        rate_L, tokens_L, cost_L = self._sums_3L[:, self._sums_3L[0] > 0] / covered_s
        return _solved(rate_L, tokens_L / rate_L, cost_L / rate_L, self._capacity)

    def state(self) -> dict[str, Any]:
        """Plain values for `load`."""
        return {
            "begun": self._begun,
            "now": self._now,
            "sums": self._sums_3L.tolist(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` was taken of."""
        self._begun, self._now = state["begun"], state["now"]
        self._sums_3L = np.asarray(state["sums"], np.float64)


def _solved(rate_L: Floats, tokens_L: Floats, cost_L: Floats, capacity: float) -> int | None:
    """The c at which Σ rate · cost · min(1, c / n) is the capacity, or None where it never is."""
    share_LL = np.minimum(1, tokens_L[:, None] / tokens_L)
    load_L = share_LL @ (rate_L * cost_L)
    if capacity >= load_L[-1]:
        return None
    return max(1, int(np.interp(capacity, [0, *load_L], [0, *tokens_L])))
