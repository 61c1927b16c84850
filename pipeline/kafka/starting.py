"""Where a reader begins and, of bounded input, ends."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from kafka import TopicPartition

from kafka_client.clients import Connection, KafkaUnavailable, consumer, explained
from kafka_client.topics import (
    beginning_offsets,
    end_offsets,
    offsets_for_time,
    partitions_of,
)
from pipeline.kafka.reading import Place, place_of

Offsets = dict[Place, int]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Start:
    """The earliest offset kept, the latest, the one that the group committed (the earliest where
    it has none), or the first at or after a time, ms."""

    where: Literal["earliest", "latest", "committed", "time"] = "earliest"
    time: int = 0

    @classmethod
    def parse(cls, written: str) -> "Start":
        """From the command line. Raises ValueError with what would be right."""
        if written in ("earliest", "latest", "committed"):
            return cls(written)  # type: ignore[arg-type]
        try:
            moment = datetime.fromisoformat(written)
        except ValueError:
            right = "earliest, latest, committed, or a time such as 2026-01-31T12:00:00Z"
            raise ValueError(f"start={written}: must be {right}") from None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if aware < _EPOCH:
            raise ValueError(f"start={written}: must not be before 1970")
        return cls("time", (aware - _EPOCH) // timedelta(milliseconds=1))


def starting_offsets(
    connection: Connection,
    topics: Iterable[str],
    mine: Callable[[int], bool],
    start: Start,
    group: str | None,
) -> Offsets:
    """The first offset of each partition whose number is `mine`. Raises KafkaUnavailable."""
    offsets: Offsets = {}
    for topic in topics:
        # What was deleted since a commit is told as lost by the reader, and passed over.
        chosen = _chosen(connection, topic, beginning_offsets(connection, topic), start, group)
        offsets |= {
            place_of(topic, number): offset for number, offset in chosen.items() if mine(number)
        }
    return offsets


def stopping_offsets(connection: Connection, places: Offsets, topics: Iterable[str]) -> Offsets:
    """The present end of each partition. Raises KafkaUnavailable where one ends before its reading
    begins."""
    ends = {
        place_of(topic, number): offset
        for topic in topics
        for number, offset in end_offsets(connection, topic).items()
    }
    for place, offset in places.items():
        if offset > ends[place]:
            raise KafkaUnavailable(
                f"{place} ends at offset {ends[place]}, before {offset} where the group stands: "
                "the topic was made anew; name another start"
            )
    return {place: ends[place] for place in places}


def new_places(
    connection: Connection,
    topics: Iterable[str],
    mine: Callable[[int], bool],
    known: Collection[Place],
) -> Offsets:
    """Partitions that were added while reading, from offset 0: what was deleted of them since is
    lost, and told so."""
    return {
        place_of(topic, number): 0
        for topic in topics
        for number in partitions_of(connection, topic)
        if mine(number) and place_of(topic, number) not in known
    }


def _chosen(
    connection: Connection, topic: str, earliest: dict[int, int], start: Start, group: str | None
) -> dict[int, int]:
    if start.where == "latest":
        return end_offsets(connection, topic)
    if start.where == "time":
        return offsets_for_time(connection, topic, start.time)
    if start.where == "committed" and group is not None:
        return earliest | _committed(connection, topic, earliest, group)
    return earliest


def _committed(
    connection: Connection, topic: str, numbers: Iterable[int], group: str
) -> dict[int, int]:
    client = consumer(connection, group_id=group)
    try:
        with explained(connection, f"cannot look up the offsets of group {group!r}"):
            found = {n: client.committed(TopicPartition(topic, n)) for n in numbers}
    finally:
        client.close(timeout_ms=5_000)
    return {number: int(offset) for number, offset in found.items() if offset is not None}
