"""The topics of a stream copied to another broker, without records that the stream has lost."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pyarrow as pa
from kafka import TopicPartition

from chaos.stream import KEPT, TOPICS
from kafka_client.clients import Connection, consumer, explained, producer
from kafka_client.topics import create_topics, end_offsets
from schemas.failures import Failure
from transforms.core.decode.reject import Reason

READ_MS = 20_000
_RANGE = re.compile(r"offsets (\d+) to (\d+) ")

Lost = dict[TopicPartition, set[int]]


def messages_of(where: Connection, ends: Mapping[TopicPartition, int]) -> Iterator[Any]:
    """All messages of partitions up to their ends, in the order in which a client gives them.

    Raises Failure where nothing comes for READ_MS.
    """
    with closing(consumer(where)) as client, explained(where, "cannot read", "Read"):
        client.assign(list(ends))
        client.seek_to_beginning()
        while any(client.position(place) < end for place, end in ends.items()):
            polled = client.poll(timeout_ms=READ_MS)
            if not polled:
                raise Failure(f"nothing came of {sorted(ends)} for {READ_MS / 1000:.0f} s")
            for place, records in polled.items():
                yield from (record for record in records if record.offset < ends[place])


def ends_of(where: Connection, topic: str) -> dict[TopicPartition, int]:
    """Where each partition of a topic ends now."""
    return {TopicPartition(topic, p): end for p, end in end_offsets(where, topic).items()}


def records_before(where: Connection, place: TopicPartition, until: int) -> list[Any]:
    """The records of a partition before an offset, to be kept before they are deleted."""
    return list(messages_of(where, {place: until}))


def lost_of(rejected: pa.Table) -> Lost:
    """The offsets that the rows of a run's rejected output say are lost."""
    lost: Lost = {}
    for row in rejected.to_pylist():
        if row["reason"] == Reason.LOST:
            first, last = map(int, _RANGE.findall(row["detail"])[0])
            place = TopicPartition(row["source"], row["partition"])
            lost.setdefault(place, set()).update(range(first, last + 1))
    return lost


def mirror(
    where: Connection, kept: Mapping[TopicPartition, Sequence[Any]], lost: Lost, to: Connection
) -> None:
    """Copies all topics: what is there, and what was `kept` of it but is not `lost`."""
    for topic in TOPICS:
        ends = ends_of(where, topic)
        create_topics(to, {topic: len(ends)}, KEPT)
        before = [r for place, records in kept.items() if place.topic == topic for r in records]
        with closing(producer(to, compression=None)) as client:
            for each in [*before, *messages_of(where, ends)]:
                place = TopicPartition(each.topic, each.partition)
                if each.offset not in lost.get(place, ()):
                    _send(client, each)
            client.flush(timeout=60)


def _send(client: Any, each: Any) -> None:
    client.send(
        each.topic,
        key=each.key,
        value=each.value,
        headers=list(each.headers),
        partition=each.partition,
        timestamp_ms=each.timestamp,
    )
