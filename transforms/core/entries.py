"""S7: what is kept of a user's features, as entries that stand between the contents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.core.arrays import NEVER, Bools, Ints, is_first


@dataclass(frozen=True, slots=True)
class Entries:
    """Feature entries [n], by life and, of each life, in S2 order.

    `at` is the number of the life's contents before the entry; `kind` its token type, negated for
    a member that a full set forgets, which is no token; `id` is negative for a removal.
    """

    life: Ints
    at: Ints
    kind: Ints
    id: Ints
    time: Ints

    def __len__(self) -> int:
        return len(self.life)

    def take(self, which: Ints | Bools) -> "Entries":
        """The entries at these indices, or where a mask is True."""
        return Entries(
            self.life[which], self.at[which], self.kind[which], self.id[which], self.time[which]
        )

    @property
    def visible(self) -> Bools:
        """True where the entry is a token."""
        return self.kind > 0

    @property
    def effective(self) -> Bools:
        """True where the entry can be in effect: a scalar's value, or the adding of a member."""
        return self.visible & (self.id >= 0)


def no_entries() -> Entries:
    """No entries at all."""
    nothing = np.empty(0, np.int64)
    return Entries(nothing, nothing, nothing, nothing, nothing)


def in_one(parts: Sequence[Entries]) -> Entries:
    """All entries by life, those of earlier parts before those of later ones."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*((p.life, p.at, p.kind, p.id, p.time) for p in parts), strict=True)
    every = Entries(*(np.concatenate(column) for column in columns))
    return every.take(np.argsort(every.life, kind="stable"))


def superseded_at(entries: Entries, is_set: Bools) -> Ints:
    """For each entry the `at` of the next one that replaces it, NEVER where none does."""
    follower = successors(entries, is_set)
    return np.where(follower >= 0, entries.at[follower], NEVER)


def successors(entries: Entries, is_set: Bools) -> Ints:
    """For each entry the index of the next one that replaces it, -1 where none does.

    A scalar's entry is replaced by the next of its feature, an entry of a set by the next of the
    same member. `is_set` is indexed by token type.
    """
    kind = np.abs(entries.kind)
    member = np.where(is_set[kind], np.abs(entries.id), 0)
    order = np.lexsort((member, kind, entries.life))
    follower = np.full(len(entries), -1)
    follows = ~is_first(entries.life[order], kind[order], member[order])[1:]
    follower[order[:-1][follows]] = order[1:][follows]
    return follower


def folded(entries: Entries, until: Ints, oldest: Ints) -> Entries:
    """S9: what a history needs of its entries once no content before `oldest` [lives] is kept.

    Entries before it stay only while in effect there.
    """
    start = oldest[entries.life]
    return entries.take((entries.at > start) | (entries.effective & (until > start)))
