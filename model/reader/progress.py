"""How far reading is: what each batch adds, as little as possible, to be carried by the batch.

Legend: N sequences.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from model.reader.seen import Bools, Seen


class Place(NamedTuple):
    """Where a Kafka partition is read on: at row `rows` of the message at `offset`. `clock` is
    the largest Kafka timestamp (ms) so far, by which partitions are merged."""

    offset: int
    rows: int = 0
    clock: int = -1


class After(NamedTuple):
    """Where a folder is read on: behind this row, in the order of both."""

    session_end: int
    sequence_id: str


class Erasure(NamedTuple):
    """A tombstone: the hash of the user, up to when his sequences are void, and the generation
    (ms) in which it came."""

    user: int
    until: int
    generation: int


@dataclass(frozen=True)
class Progress:
    """What was used of lane `lane` of `lanes` since the batch before.

    `places` has the partitions that were read of the topic's `partitions`. `after` is the last
    row of a folder. `erasures` are of what was there before, `seen` has the sequences that came
    and are not erased, by generation; generations before `oldest` are to be forgotten. `counts`
    has what was read and left out.
    """

    lane: int
    lanes: int
    partitions: int = 0
    places: Mapping[int, Place] = field(default_factory=dict)
    after: After | None = None
    seen: Mapping[int, Seen] = field(default_factory=dict)
    erasures: tuple[Erasure, ...] = ()
    oldest: int = -1
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: Sequence["Progress"]) -> "Progress":
        """That of one part after the other, of one lane."""
        last = parts[-1]
        counts: Counter[str] = Counter()
        seen: dict[int, list[Seen]] = {}
        for part in parts:
            counts.update(part.counts)
            for user, until, _ in part.erasures:
                seen = {k: [each.spared(user, until) for each in some] for k, some in seen.items()}
            for key, each in part.seen.items():
                seen.setdefault(key, []).append(each)
        return cls(
            last.lane,
            last.lanes,
            last.partitions,
            {partition: place for part in parts for partition, place in part.places.items()},
            last.after,
            {key: Seen.joined(some) for key, some in seen.items()},
            tuple(erasure for part in parts for erasure in part.erasures),
            last.oldest,
            dict(counts),
        )


def voided(seen: Seen, erased: Mapping[int, Erasure]) -> Bools:
    """Which sequences the erasures, by user, make void: bool [N]."""
    void_N = np.zeros(len(seen), bool)
    if erased:
        erasures = map(erased.get, seen.users.tolist())
        for row, (erasure, end) in enumerate(zip(erasures, seen.ends.tolist(), strict=True)):
            void_N[row] = erasure is not None and end <= erasure.until
    return void_N
