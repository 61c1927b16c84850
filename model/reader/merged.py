"""The messages of several partitions as one log, in the order in which they came to Kafka.

What was there when reading began (and then, in rounds, what has come since) is merged by
timestamp, partition and offset. So a log that has ended is read in the same order every time.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from kafka import TopicPartition
from kafka.errors import OffsetOutOfRangeError

from kafka_client.clients import Connection, KafkaUnavailable, explained
from kafka_client.polling import poll
from model.reader.progress import Place
from model.reader.starting import passed_over

WAITING_BYTES = 8 << 20
"""Bytes of one partition that wait for others before no more of it are fetched."""

POLL_MS = 100
REQUEST_MS = 30_000
STALL_S = 60.0
_CHECK_S = 10.0


class Message(Protocol):
    """What is used of a Kafka record; `timestamp` in ms."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Any


class Client(Protocol):
    """What is used of a Kafka consumer."""

    def poll(self, timeout_ms: int) -> Mapping[TopicPartition, list[Any]]:
        """More records."""

    def position(self, partition: TopicPartition) -> int:
        """The offset that is polled next."""

    def pause(self, *partitions: TopicPartition) -> None:
        """Polls nothing of these."""

    def resume(self, *partitions: TopicPartition) -> None:
        """Polls these again."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Polls from an offset on."""

    def beginning_offsets(
        self, partitions: list[TopicPartition], timeout_ms: int
    ) -> Mapping[TopicPartition, int]:
        """The first offsets that are there."""

    def end_offsets(
        self, partitions: list[TopicPartition], timeout_ms: int
    ) -> Mapping[TopicPartition, int]:
        """The offsets behind the last stable records."""


class Arrived(NamedTuple):
    """A message, the largest timestamp of its partition so far (ms), and how many messages of
    the log were lost before it."""

    message: Message
    clock: int
    lost: int = 0


class MergedLog:
    """Partitions of a topic from their `places` up to `ends`, and on from there if `follows`.

    The `client` stands at the places. `lost` counts messages that retention has deleted unread,
    until the next message carries it.
    """

    def __init__(
        self,
        client: Client,
        connection: Connection,
        places: Mapping[int, Place],
        ends: Mapping[int, int],
        follows: bool,
        skip_lost: bool = False,
    ) -> None:
        self._client, self._connection = client, connection
        self._topic = str(connection.topic)
        self._at = {partition: TopicPartition(self._topic, partition) for partition in places}
        self._waiting: dict[int, deque[Arrived]] = {partition: deque() for partition in places}
        self._clock = {partition: place.clock for partition, place in places.items()}
        self._position = {partition: place.offset for partition, place in places.items()}
        self._ends = {partition: ends[partition] for partition in places}
        self._follows, self._skip_lost = follows, skip_lost
        self.lost = 0

    def __iter__(self) -> Iterator[Arrived | None]:
        """The messages in order; None after each short wait in which nothing came.

        Raises KafkaUnavailable where the broker gives nothing for a minute though there is more.
        """
        heard = time.monotonic()
        while True:
            yield from self._ready()
            caught_up = all(map(self._has_ended, self._at))
            if caught_up and not self._follows:
                return
            with explained(self._connection, f"cannot read topic {self._topic!r}", "Read"):
                came = self._poll()
                more = any(self._waiting.values()) or time.monotonic() - heard > _CHECK_S
                if caught_up and more:
                    self._look_for_more()
                    heard = time.monotonic()
            if came:
                heard = time.monotonic()
            else:
                self._check_stall(time.monotonic() - heard)
                yield None

    def _ready(self) -> Iterator[Arrived]:
        """The messages that nothing earlier can come before any more."""
        while True:
            ready = [p for p in self._at if self._has_next(p)]
            if not ready or not all(p in ready or self._has_ended(p) for p in self._at):
                return
            first = min(ready, key=lambda partition: (self._waiting[partition][0].clock, partition))
            lost, self.lost = self.lost, 0
            yield self._waiting[first].popleft()._replace(lost=lost)

    def _has_next(self, partition: int) -> bool:
        waiting = self._waiting[partition]
        return bool(waiting) and waiting[0].message.offset < self._ends[partition]

    def _has_ended(self, partition: int) -> bool:
        # A log may end in markers of transactions, which are no messages, so positions count.
        return self._position[partition] >= self._ends[partition]

    def _poll(self) -> bool:
        """Takes what came; False if nothing did."""
        self._hold_back()
        try:
            polled = poll(self._client, POLL_MS)
        except OffsetOutOfRangeError as error:
            (places,) = error.args
            for place, offset in places.items():
                self._go_to_first(place, offset)
            return True
        for place, messages in polled.items():
            for message in messages:
                clock = max(self._clock[place.partition], message.timestamp)
                self._clock[place.partition] = clock
                self._waiting[place.partition].append(Arrived(message, clock))
        for partition, place in self._at.items():
            self._position[partition] = self._client.position(place)
        return bool(polled)

    def _hold_back(self) -> None:
        for partition, place in self._at.items():
            size = sum(len(each.message.value or b"") for each in self._waiting[partition])
            change = self._client.pause if size >= WAITING_BYTES else self._client.resume
            change(place)

    def _go_to_first(self, place: TopicPartition, offset: int) -> None:
        first = self._client.beginning_offsets([place], timeout_ms=REQUEST_MS)[place]
        if first <= offset:
            raise KafkaUnavailable(f"{self._topic}/{place.partition} has no offset {offset}")
        self.lost += passed_over(self._topic, place.partition, offset, first, self._skip_lost)
        self._client.seek(place, first)
        self._ends[place.partition] = max(self._ends[place.partition], first)

    def _look_for_more(self) -> None:
        ends = self._client.end_offsets(list(self._at.values()), timeout_ms=REQUEST_MS)
        for place, end in ends.items():
            if end < self._ends[place.partition]:
                raise KafkaUnavailable(f"{self._topic}/{place.partition} has become shorter")
            self._ends[place.partition] = end

    def _check_stall(self, silent_s: float) -> None:
        left = {p: end - self._position[p] for p, end in self._ends.items()}
        behind = ", ".join(
            f"{n} offsets left in {self._topic}/{p}" for p, n in left.items() if n > 0
        )
        if behind and silent_s > STALL_S:
            raise KafkaUnavailable(f"nothing came for {STALL_S:.0f} s; {behind}")
