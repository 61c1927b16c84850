"""A table of vectors in plain loops and Python's floats, one process, exact counts."""

from collections import Counter
from dataclasses import dataclass, field

import torch

from kernels.hashing import hashed, key_of, normal
from model.vocabulary import eviction

UNKNOWN, NULL = -1, 0


@dataclass
class Row:
    """What an id has: its vector, the optimizer's state, when it was seen."""

    vector: list[float]
    m: list[float]
    v: float = 0.0
    step: int = 0
    first_seen: int = -1
    last_seen: int = -1


@dataclass
class NaiveTable:
    """Rows by id."""

    name: str
    width: int
    seed: int
    admit_after: int = 1
    capacity: int | None = None
    max_age: int | None = None
    rows: dict[int, Row] = field(default_factory=dict)
    sightings: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for one in (UNKNOWN, NULL):
            self.rows[one] = self._new(one)

    def _new(self, one: int) -> Row:
        key = key_of(self.seed, *self.name.encode())
        drawn = [
            float(normal(key, torch.tensor(one), torch.tensor(column)))
            for column in range(self.width)
        ]
        return Row([0.02 * number for number in drawn], [0.0] * self.width)

    def fetch(
        self, ids: list[int], now: int, sighted: int, initial: list[list[float]] | None
    ) -> tuple[list[list[float]], list[bool], list[bool], list[int]]:
        """Vectors, whether known, whether new, when first seen: of each id; the first `sighted`
        of which are sightings."""
        seen = Counter(ids[:sighted])
        first = {one: row.first_seen for one, row in self.rows.items()}
        new = set()
        for one, count in seen.items():
            if one not in self.rows:
                self.sightings[one] += count
                if self.sightings[one] >= self.admit_after:
                    new.add(one)
                    self.rows[one] = self._new(one)
                    places = [place for place in range(sighted) if ids[place] == one]
                    if initial is not None:
                        mean = [
                            sum(initial[place][column] for place in places) / len(places)
                            for column in range(self.width)
                        ]
                        if any(mean):
                            self.rows[one].vector = mean
            if row := self.rows.get(one):
                row.first_seen = now if row.first_seen < 0 else row.first_seen
                row.last_seen = max(row.last_seen, now)
        return (
            [list(self.rows.get(one, self.rows[UNKNOWN]).vector) for one in ids],
            [one in self.rows for one in ids],
            [one in new for one in ids],
            [first.get(one, -1) for one in ids],
        )

    def apply(self, ids: list[int], gradients: list[list[float]], lr: float) -> None:
        """AdamW of every row that the ids have, by the sum of their gradients."""
        sums: dict[int, list[float]] = {}
        for one, gradient in zip(ids, gradients, strict=True):
            key = one if one in self.rows else UNKNOWN
            have = sums.setdefault(key, [0.0] * self.width)
            sums[key] = [a + b for a, b in zip(have, gradient, strict=True)]
        for one, g in sums.items():
            row = self.rows[one]
            row.step += 1
            row.m = [0.9 * m + 0.1 * each for m, each in zip(row.m, g, strict=True)]
            row.v = 0.98 * row.v + 0.02 * sum(each * each for each in g) / self.width
            root = (row.v / (1 - 0.98**row.step)) ** 0.5 + 1e-8
            row.vector = [
                w * (1 - lr * 0.1) - lr * m / (1 - 0.9**row.step) / root
                for w, m in zip(row.vector, row.m, strict=True)
            ]

    def evict(self, now: int) -> list[int]:
        """Ids that are too old, then those that are too many; ascending."""
        gone = []
        if self.max_age is not None:
            limit = eviction.oldest_allowed(now, self.max_age)
            gone += [o for o, row in self.rows.items() if o > NULL and row.last_seen < limit]
        order = [o for o in self.rows if o > NULL and o not in gone]
        order.sort(
            key=lambda o: (self.rows[o].last_seen, int(hashed(eviction._KEY, torch.tensor(o))))
        )
        if self.capacity is not None and len(order) > self.capacity:
            gone += order[: len(order) - (self.capacity - self.capacity // 16)]
        for one in gone:
            del self.rows[one]
        return sorted(gone)
