"""Kafka messages: as a reader gives them, and sent to a broker."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from kafka import TopicPartition

from kafka_client.clients import Connection, consumer, producer
from kafka_client.topics import beginning_offsets, end_offsets
from schemas.codec import encode_batch
from tests.machine import Raw
from tests.oracles.shop import T
from tests.pipeline.running import as_json


@dataclass
class Message:
    """One message, which came at T + `at`, ms."""

    value: bytes | None
    at: int = 0
    partition: int = 0
    key: bytes | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        self.timestamp = T + self.at


def message(record: Raw, at: int | None = None, partition: int = 0, offset: int = 0) -> Message:
    """A record of the shop as a message that comes at its event time, unless told otherwise."""
    if isinstance(record, bytes):
        return Message(record, at or 0, partition, offset=offset)
    when = record.get("t", T) - T if at is None else at
    return Message(as_json(record), when, partition, offset=offset)


def arrow(records: Sequence[dict[str, Any]]) -> bytes:
    """Records as an Arrow IPC stream."""
    return encode_batch(pa.RecordBatch.from_pylist(list(records)))


def send(connection: Connection, topic: str, messages: Sequence[Message]) -> None:
    """Sends messages in order, each to its partition, and waits until the broker has them."""
    with closing(producer(connection, compression=None)) as client:
        sent = [
            client.send(
                topic,
                value=each.value,
                key=each.key,
                partition=each.partition,
                timestamp_ms=each.timestamp,
            )
            for each in messages
        ]
        client.flush(timeout=60)
        for future in sent:
            future.get(timeout=10)


def received(connection: Connection, topic: str) -> list[Any]:
    """All messages of a topic, by partition and offset."""
    ends = end_offsets(connection, topic)
    found: list[Any] = []
    with closing(consumer(connection)) as client:
        places = [TopicPartition(topic, number) for number in ends]
        client.assign(places)
        for place in places:
            client.seek(place, beginning_offsets(connection, topic)[place.partition])
        while any(client.position(place) < ends[place.partition] for place in places):
            for records in client.poll(timeout_ms=500).values():
                found += records
    return sorted(found, key=lambda each: (each.partition, each.offset))
