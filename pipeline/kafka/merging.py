"""Records of many partitions in the order of their Kafka timestamps, as they came to the cluster.

A client gives one partition's records after another's. Merged, a log that is read again gives the
records as they arrived, so that the same ones are late (S3) however fast it is read.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.kafka.reading import Place

PAUSE_AT = 50_000
"""Records of one partition that wait for those of others before no more are fetched."""


class Record(Protocol):
    """What is used of a Kafka record; `timestamp` in ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass
class _Waiting:
    records: deque[Record] = field(default_factory=deque)
    newest: int = -1  # the largest timestamp so far: those of a partition need not ascend
    ended: bool = False


class Merging:
    """Buffers of a reader's partitions."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._waiting: dict[Place, _Waiting] = {place: _Waiting() for place in places}

    def add(self, place: Place, records: Sequence[Record]) -> None:
        """More records of a partition."""
        waiting = self._waiting.setdefault(place, _Waiting())
        waiting.records.extend(records)
        waiting.newest = max([waiting.newest, *(record.timestamp for record in records)])

    def mark_ended(self, ended: Mapping[Place, bool]) -> None:
        """Which partitions have nothing more to give for now: these are not waited for."""
        for place, is_so in ended.items():
            self._waiting.setdefault(place, _Waiting()).ended = is_so

    @property
    def full(self) -> list[Place]:
        """Partitions that have enough waiting."""
        return [place for place, w in self._waiting.items() if len(w.records) >= PAUSE_AT]

    def __len__(self) -> int:
        return sum(len(waiting.records) for waiting in self._waiting.values())

    def take(self) -> list[tuple[Place, Record]]:
        """All records that nothing earlier can come before any more, in their order."""
        open_ends = [waiting.newest for waiting in self._waiting.values() if not waiting.ended]
        upto = min(open_ends, default=None)
        taken: list[tuple[int, int, Place, Record]] = []
        for place, waiting in self._waiting.items():
            clock = -1
            while waiting.records and (upto is None or waiting.records[0].timestamp <= upto):
                record = waiting.records.popleft()
                clock = max(clock, record.timestamp)
                taken.append((clock, len(taken), place, record))
        taken.sort(key=_arrival)
        return [(place, record) for _, _, place, record in taken]


def _arrival(taken: tuple[int, int, Place, Record]) -> tuple[int, int]:
    return taken[:2]
