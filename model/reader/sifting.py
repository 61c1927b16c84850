"""Rows as they are told apart: void, copies, left out by choice, and what is trained on.

Legend: N rows that came together, K those of them that are trained on.
"""

from dataclasses import dataclass

import numpy as np

from model.reader.rows import Choose, Rows
from model.reader.seen import Bools, Ints, Seen


@dataclass(frozen=True)
class Sifted:
    """N rows: which are void and which are copies, and the rows that are trained on, which stand
    at the numbers `at_K`."""

    rows: Rows
    void_N: Bools
    copy_N: Bools
    chosen: Rows
    at_K: Ints

    @classmethod
    def of(cls, rows: Rows, void_N: Bools, copy_N: Bools, choose: Choose | None) -> "Sifted":
        """The rows with what `choose` makes of those that are neither void nor copies."""
        fresh_N = ~(void_N | copy_N)
        chosen, at = rows.where(fresh_N).chosen(choose)
        return cls(rows, void_N, copy_N, chosen, np.flatnonzero(fresh_N)[at])

    def fresh(self, start: int, stop: int) -> Seen:
        """What is to be remembered of the rows from one number up to another."""
        here = slice(start, stop)
        return self.rows.seen.at(here).at(~(self.void_N | self.copy_N)[here])

    def counts(self, start: int, stop: int) -> dict[str, int]:
        """How many of the rows from one number up to another came, and were left out and why."""
        here = slice(start, stop)
        void, copies = int(self.void_N[here].sum()), int(self.copy_N[here].sum())
        chosen = int(((self.at_K >= start) & (self.at_K < stop)).sum())
        count = stop - start
        left_out = count - void - copies - chosen
        return {"rows": count, "void": void, "replays": copies, "left_out": left_out}
