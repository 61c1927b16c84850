"""Records of many partitions in the order of their Kafka timestamps, as they came to the cluster.

A client gives one partition's records after another's. Merged, a log that is read again gives the
records as they arrived, so that the same ones are late (S3) however fast it is read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from pipeline.kafka.reading import Place
from transforms.core.arrays import Ints

PAUSE_AT, PAUSE_BYTES = 50_000, 64 << 20
"""Records of one partition, and their bytes, that wait for others before no more are fetched."""


class Record(Protocol):
    """What is used of a Kafka record; `timestamp` in ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Gathered:
    """Records [n] in the order of their arrival: record i is of `places[which[i]]`, and came when
    the clock of arrivals said `clock[i]`, the largest Kafka timestamp of its partition so far."""

    places: Sequence[Place]
    which: Ints
    records: Sequence[Record]
    clock: Ints

    def __len__(self) -> int:
        return len(self.records)

    @property
    def bytes(self) -> int:
        """The bytes of the records' values."""
        return bytes_of(self.records)

    def __iter__(self) -> Iterator[tuple[Place, Record]]:
        """Each record with its partition."""
        for number, record in zip(self.which.tolist(), self.records, strict=True):
            yield self.places[number], record


@dataclass
class _Waiting:
    """Records of a partition, and the clock of arrivals at each."""

    records: list[Record] = field(default_factory=list)
    clock: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    newest: int = -1
    ended: bool = False
    bytes: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.records) >= PAUSE_AT or self.bytes >= PAUSE_BYTES

    def add(self, records: Sequence[Record]) -> None:
        if records:
            timestamps = np.fromiter((r.timestamp for r in records), np.int64, len(records))
            timestamps[0] = max(timestamps[0], self.newest)
            clock = np.maximum.accumulate(timestamps)  # those of a partition need not ascend
            self.records.extend(records)
            self.bytes += bytes_of(records)
            self.clock, self.newest = np.concatenate([self.clock, clock]), int(clock[-1])

    def take(self, upto: int | None, also: bool) -> tuple[list[Record], Ints]:
        """What came before the clock said `upto`, or `also` then; all where it is None."""
        side: Literal["left", "right"] = "right" if also else "left"
        n = len(self.clock) if upto is None else int(np.searchsorted(self.clock, upto, side))
        taken = self.records[:n], self.clock[:n]
        del self.records[:n]
        self.clock = self.clock[n:]
        self.bytes -= bytes_of(taken[0])
        return taken


class Merging:
    """Buffers of a reader's partitions."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._waiting: dict[Place, _Waiting] = {place: _Waiting() for place in places}

    def add(self, place: Place, records: Sequence[Record]) -> None:
        """More records of a partition."""
        self._waiting.setdefault(place, _Waiting()).add(records)

    def mark_ended(self, ended: Mapping[Place, bool]) -> None:
        """Which partitions have nothing more to give for now: these are not waited for."""
        for place, is_so in ended.items():
            self._waiting.setdefault(place, _Waiting()).ended = is_so

    def waits(self, place: Place) -> bool:
        """Whether records of a partition are not taken yet."""
        return place in self._waiting and bool(self._waiting[place].records)

    @property
    def full(self) -> list[Place]:
        """Partitions that have enough waiting."""
        return [place for place, waiting in self._waiting.items() if waiting.is_full]

    def __len__(self) -> int:
        return sum(len(waiting.records) for waiting in self._waiting.values())

    def take(self) -> Gathered:
        """All records that nothing earlier can come before any more, in their order: by the clock,
        at one time by partition, then offset. So equal timestamps, too, come in one order however
        the polls cut the log."""
        places = sorted(self._waiting)  # not as they were found: a reading forgets that
        open_ends = [
            (self._waiting[place].newest, place)
            for place in places
            if not self._waiting[place].ended
        ]
        upto, last = min(open_ends, default=(None, ""))
        parts = {place: self._waiting[place].take(upto, place <= last) for place in places}
        there = {place: part for place, part in parts.items() if part[0]}
        sizes = [len(records) for records, _ in there.values()]
        which = np.repeat(np.arange(len(there)), sizes)
        return _by_clock(
            Gathered(
                list(there),
                which,
                [record for records, _ in there.values() for record in records],
                np.concatenate([np.empty(0, np.int64), *(clock for _, clock in there.values())]),
            )
        )


def bytes_of(records: Iterable[Record]) -> int:
    """The bytes of the values of records."""
    return sum(len(record.value) for record in records if record.value is not None)


def in_one(parts: Sequence[Gathered]) -> Gathered:
    """Batches that came one after the other as one."""
    if len(parts) == 1:
        return parts[0]
    places = list(dict.fromkeys(place for part in parts for place in part.places))
    number = {place: i for i, place in enumerate(places)}
    empty = np.empty(0, np.int64)
    which = [np.array([number[p] for p in part.places], np.int64)[part.which] for part in parts]
    return Gathered(
        places,
        np.concatenate([empty, *which]),
        [record for part in parts for record in part.records],
        np.concatenate([empty, *(part.clock for part in parts)]),
    )


def _by_clock(gathered: Gathered) -> Gathered:
    """The records of several partitions by the clock; among equals as they stand."""
    clock = gathered.clock
    if (clock[1:] >= clock[:-1]).all():
        return gathered
    order = np.argsort(clock, kind="stable")
    records = gathered.records
    return Gathered(
        gathered.places,
        gathered.which[order],
        [records[i] for i in order.tolist()],
        clock[order],
    )
