"""Which sequences have come: the replay window, in 32 bytes a sequence.

Legend: N sequences.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.bytes_]
"""Hashes of sequence ids: 16 bytes each, which numpy compares and sorts as texts."""

ID = np.dtype("S16")


def ids_of(sequence_ids: Iterable[str]) -> Ids:
    """The xxh3-128 of each sequence id."""
    return np.frombuffer(
        b"".join(xxhash.xxh3_128_digest(name.encode()) for name in sequence_ids), ID
    )


def user_of(user: str) -> int:
    """The xxh3-64 of a user, as a signed number: all that the window knows of him."""
    hashed = xxhash.xxh3_64_intdigest(user.encode())
    return hashed - (1 << 64) if hashed >> 63 else hashed


def users_of(users: Sequence[str]) -> Ints:
    """`user_of` each user."""
    return np.fromiter(map(user_of, users), np.int64, len(users))


@dataclass(frozen=True)
class Seen:
    """N sequences: hash of the id, hash of the user, and `session_end` in ms."""

    ids: Ids
    users: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, rows: Ints | Bools | slice) -> "Seen":
        """Some of them."""
        return Seen(self.ids[rows], self.users[rows], self.ends[rows])

    def voided(self, user: int, until: int) -> Bools:
        """Which of them an erasure of a user up to a time makes void (S13)."""
        void: Bools = (self.users == user) & (self.ends <= until)
        return void

    def spared(self, user: int, until: int) -> "Seen":
        """Those that it does not make void."""
        void = self.voided(user, until)
        return self.at(~void) if void.any() else self

    @classmethod
    def joined(cls, parts: Sequence["Seen"]) -> "Seen":
        """All of several, in order."""
        if len(parts) == 1:
            return parts[0]
        none = np.empty(0, np.int64)
        return cls(
            np.concatenate([np.empty(0, ID), *(part.ids for part in parts)]),
            np.concatenate([none, *(part.users for part in parts)]),
            np.concatenate([none, *(part.ends for part in parts)]),
        )


class ReplayWindow:
    """Sequences by generation, which is the time (ms) from which one counts.

    Each generation is a list of sorted runs whose sizes at least halve, so that n sequences are
    sorted in n log n and looked up in log n runs; no run is ever changed, so copies are cheap.
    """

    def __init__(self, runs: Mapping[int, Sequence[Seen]] | None = None) -> None:
        self._runs = {generation: list(parts) for generation, parts in (runs or {}).items()}

    def __len__(self) -> int:
        return sum(len(run) for runs in self._runs.values() for run in runs)

    def copy(self) -> "ReplayWindow":
        """One that goes its own way; the runs are shared."""
        return ReplayWindow(self._runs)

    def has(self, ids: Ids) -> Bools:
        """Which of the ids are in the window."""
        found = np.zeros(len(ids), bool)
        for runs in self._runs.values():
            for run in runs:
                at = np.minimum(np.searchsorted(run.ids, ids), len(run) - 1)
                found |= run.ids[at] == ids
        return found

    def add(self, generation: int, seen: Seen) -> None:
        """Puts sequences into a generation."""
        if not len(seen):
            return
        runs = self._runs.setdefault(generation, [])
        runs.append(_sorted(seen))
        while len(runs) > 1 and len(runs[-2]) < 2 * len(runs[-1]):
            last = runs.pop()
            runs.append(_sorted(Seen.joined([runs.pop(), last])))

    def erase(self, user: int, until: int) -> None:
        """Takes out a user's sequences that an erasure makes void."""
        for generation, runs in self._runs.items():
            kept = [run.spared(user, until) for run in runs]
            self._runs[generation] = [run for run in kept if len(run)]

    def forget(self, before: int) -> None:
        """Drops the generations from before a time."""
        self._runs = {time: runs for time, runs in self._runs.items() if time >= before}

    def generations(self) -> Iterator[tuple[int, Seen]]:
        """Each generation and its sequences, sorted by id."""
        for generation, runs in sorted(self._runs.items()):
            yield generation, _sorted(Seen.joined(runs))


def _sorted(seen: Seen) -> Seen:
    # Numpy's stable sort finds the runs of what was joined and merges them.
    return seen.at(np.argsort(seen.ids, kind="stable"))
