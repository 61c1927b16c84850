"""What arrives in a sequence topic, and when: the side of a stream that its readers see."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from kafka import TopicPartition

from kafka_client.clients import Connection, consumer
from kafka_client.topics import create_topics, partitions_of

PARTITIONS = 4
POLL_MS = 100


@dataclass(frozen=True)
class Arrived:
    """Rows in all, and when watching began, and the last was there (Unix, s)."""

    rows: int
    begun: float
    last: float


class Topic:
    """A new sequence topic, watched from its beginning."""

    def __init__(self, bootstrap: str, name: str) -> None:
        connection = Connection(bootstrap)
        create_topics(connection, {name: PARTITIONS})
        self._consumer = consumer(connection)
        self._consumer.assign(
            [TopicPartition(name, number) for number in partitions_of(connection, name)]
        )
        self._begun = time.time()

    def await_first(self, limit: float) -> None:
        """Returns when something is there. Raises TimeoutError."""
        for _ in self._messages(self._begun + limit, None):
            return
        raise TimeoutError(f"no sequence after {limit:.0f} s")

    def until_silent(self, start: float, silent: float, limit: float) -> Arrived:
        """Watches until nothing came for `silent` seconds; the first must come in `start`."""
        rows, last = 0, 0.0
        for headers, _, at in self._messages(self._begun + limit, silent, self._begun + start):
            rows += int(headers["phia-rows"])
            last = at
        if not rows:
            raise TimeoutError(f"no sequence after {start:.0f} s")
        return Arrived(rows, self._begun, last)

    def rows(self, seconds: float) -> Iterator[tuple[pa.RecordBatch, float]]:
        """The batches that come within a time, each with the moment (Unix, s) it was there."""
        for _, value, at in self._messages(time.time() + seconds, None):
            yield pa.ipc.open_stream(value).read_next_batch(), at

    def _messages(
        self, until: float, silent: float | None, first: float = 0.0
    ) -> Iterator[tuple[dict[str, str], bytes, float]]:
        heard = max(time.time(), first)
        while (now := time.time()) < until and (silent is None or now < heard + silent):
            for records in self._consumer.poll(timeout_ms=POLL_MS).values():
                for record in records:
                    if record.value is not None:
                        heard = time.time()
                        headers = {name: value.decode() for name, value in record.headers}
                        yield headers, record.value, heard
