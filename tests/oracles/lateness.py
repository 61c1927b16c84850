"""S3 in a plain loop over a log: how far behind the watermark each record came."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Partition = tuple[str, int]
"""Source and number."""


@dataclass(frozen=True)
class Arrival:
    """A record as it came, times in ms: Kafka's timestamp, and the event time (None: it has none
    that counts, as what is rejected)."""

    partition: Partition
    at: int
    time: int | None


def behind(
    log: Sequence[Arrival], partitions: Iterable[Partition], idle: int
) -> list[tuple[str, int]]:
    """The source of each record, and by how much the watermark was past its event time, ms; below
    0 where it was not."""
    newest: dict[Partition, int | None] = dict.fromkeys(partitions)
    heard = dict.fromkeys(newest, log[0].at)
    clock, job, found = log[0].at, -(10**18), []
    for each in log:
        clock = max(clock, each.at)
        speaking = [newest[p] for p in newest if clock - heard[p] <= idle] or _largest(newest)
        if None not in speaking:
            job = max(job, min(time for time in speaking if time is not None))
        if each.time is None:
            continue
        found.append((each.partition[0], job - each.time))
        was = newest[each.partition]
        newest[each.partition] = each.time if was is None else max(was, each.time)
        heard[each.partition] = clock
    return found


def _largest(newest: dict[Partition, int | None]) -> list[int | None]:
    """While all are silent, the largest counts."""
    return [max((time for time in newest.values() if time is not None), default=None)]


def lost(behind: list[tuple[str, int]], horizon: float, source: str | None = None) -> float:
    """The share of the records, of a source or of all, that a horizon, s, would lose."""
    mine = [ms for name, ms in behind if source in (None, name)]
    return sum(ms >= horizon * 1000 for ms in mine) / len(mine)
