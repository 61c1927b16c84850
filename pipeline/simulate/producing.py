"""The platform's records to Kafka: a topic a source, in order of arrival, at a given rate."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

import kafka

from kafka_client.clients import Connection, explained, producer
from kafka_client.topics import create_topics, partitions_of
from pipeline.simulate.fates import SOURCES
from pipeline.simulate.files import Form, Progress
from pipeline.simulate.messages import Message, messages
from pipeline.simulate.pace import Pace
from pipeline.simulate.platform import Platform
from pipeline.simulate.stream import arrivals
from pipeline.simulate.truth import Truth

# kafka-python bounds no memory of its own: what is unsent is waited for after so many bytes.
UNCONFIRMED_BYTES = 8 * 1024 * 1024
PROGRESS_RECORDS = 200
FLUSH_SECONDS = 60.0
CLOSE_SECONDS = 10.0
# Event times may lie in the past, further than a topic keeps records by default.
KEPT: Mapping[str, str] = {"retention.ms": "-1"}


@dataclass(frozen=True, slots=True)
class Sending:
    """How to send: `rate` in records a second (0: as fast as possible), `partitions` of new topics.

    Kafka's `timestamps` are the arrival times (`event`) or the broker's idea of `now`. Erasures go
    out as tombstones now and then only with the former: one of now would erase the user whole.
    """

    form: Form = "json"
    rate: float = 0.0
    timestamps: Literal["event", "now"] = "event"
    partitions: int = 2

    def __post_init__(self) -> None:
        if self.partitions < 1:
            raise ValueError(f"a topic has at least one partition, not {self.partitions}")
        if self.rate < 0:
            raise ValueError(f"the rate must be 0 (as fast as possible) or more: {self.rate:g}")


def produce(
    platform: Platform,
    connection: Connection,
    sending: Sending,
    progress: Progress | None = None,
) -> Truth:
    """Create the topics that are missing and send everything; returns when all is acknowledged.

    Raises KafkaUnavailable, in bounded time, if the cluster cannot be reached or refuses a message.
    """
    create_topics(connection, dict.fromkeys(SOURCES, sending.partitions), KEPT)
    partitions = {name: partitions_of(connection, name) for name in SOURCES}
    truth = Truth(platform)
    tombstones = sending.timestamps == "event"
    with _client(connection) as client:
        sender = _Sender(client, partitions, sending, progress)
        for part in arrivals(platform):
            sender.aim(part.height(), part.done)
            for message in messages(part, sending.form, platform.record_bytes, tombstones):
                truth.tombstones += message.value is None
                sender.send(message)
            truth.count(part.frames)
        sender.confirm()
    if progress is not None:
        progress(truth.records(), 1.0)
    return truth


@contextmanager
def _client(connection: Connection) -> Iterator[kafka.KafkaProducer]:
    # Uncompressed: a third faster, and what is simulated seldom travels far.
    client = producer(connection, compression=None)
    try:
        with explained(connection, "cannot send", "Write"):
            yield client
    finally:
        client.close(timeout=CLOSE_SECONDS)


class _Sender:
    """Sends messages one by one, and waits for the acknowledgements of the last few MiB."""

    def __init__(
        self,
        client: kafka.KafkaProducer,
        partitions: Mapping[str, tuple[int, ...]],
        sending: Sending,
        progress: Progress | None,
    ) -> None:
        self._client = client
        self._timed = sending.timestamps == "event"
        self._turns = {name: cycle(numbers) for name, numbers in partitions.items()}
        self._pace = Pace(sending.rate)
        self._progress = progress
        self._futures: list[Any] = []
        self._unconfirmed = 0
        self._records = 0
        self._reached = (0, 0.0)
        self._goal = (0, 0.0)

    def aim(self, records: int, done: float) -> None:
        """Expect `records` more, after which the share `done` of the whole has gone."""
        self._reached = self._records, self._goal[1]
        self._goal = self._records + records, done

    def send(self, message: Message) -> None:
        """Send when the rate allows; messages without a key take turns with the partitions."""
        self._pace.wait(message.records)
        future = self._client.send(
            message.source,
            key=message.key,
            value=message.value,
            partition=None if message.key else next(self._turns[message.source]),
            timestamp_ms=message.arrival if self._timed else None,
        )
        self._futures.append(future)
        self._unconfirmed += len(message.value or b"")
        if self._unconfirmed > UNCONFIRMED_BYTES:
            self.confirm()
        self._tell(message.records)

    def confirm(self) -> None:
        """Wait until everything sent is acknowledged."""
        self._client.flush(timeout=FLUSH_SECONDS)
        for future in self._futures:
            future.get(timeout=FLUSH_SECONDS)
        self._futures.clear()
        self._unconfirmed = 0

    def _tell(self, records: int) -> None:
        before = self._records // PROGRESS_RECORDS
        self._records += records
        if self._progress is not None and self._records // PROGRESS_RECORDS > before:
            self._progress(self._records, self._done())

    def _done(self) -> float:
        """The share of the whole that has gone, between what was reached and the next goal."""
        (first, share), (last, goal) = self._reached, self._goal
        return share + (goal - share) * (self._records - first) / max(last - first, 1)
