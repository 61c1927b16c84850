"""Batches by a budget of tokens.

Legend: N rows.
"""

import numpy as np
import pyarrow as pa

from model.reader.progress import Erasure
from model.reader.rows import Rows
from model.reader.seen import Ints


class Filling:
    """The batch that is being filled: whole rows of at most `budget` tokens together, or one
    that has more alone."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._held: list[Rows] = []
        self._tokens = 0

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._held)

    def room(self, tokens_N: Ints) -> int:
        """How many of the next rows, of so many tokens each, still go into this batch."""
        fits_N = np.cumsum(tokens_N) <= self._budget - self._tokens
        return max(int(np.count_nonzero(fits_N)), 0 if self._held else 1)

    def add(self, rows: Rows) -> None:
        """Puts rows into the batch."""
        if len(rows):
            self._held.append(rows)
            self._tokens += int(rows.tokens_N.sum())

    def erase(self, erasure: Erasure) -> int:
        """Takes out the rows that an erasure makes void, and says how many they were."""
        before = len(self)
        kept = [rows.where(~rows.seen.voided(erasure.user, erasure.until)) for rows in self._held]
        self._held, self._tokens = [], 0
        for rows in kept:
            self.add(rows)
        return before - len(self)

    def take(self) -> list[pa.RecordBatch]:
        """The rows of the batch; the next one begins empty."""
        taken = [rows.batch for rows in self._held]
        self._held, self._tokens = [], 0
        return taken
