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
    """Rows in all, and when watching began and the first and last were there, seconds."""

    rows: int
    begun: float
    first: float
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
        self._begun = time.monotonic()

    def await_first(self, limit: float) -> None:
        """Returns when something is there. Raises TimeoutError."""
        for _ in self._messages(self._begun + limit, None):
            return
        raise TimeoutError(f"no sequence after {limit:.0f} s")

    def until_silent(self, start: float, silent: float, limit: float) -> Arrived:
        """Watches until nothing came for `silent` seconds; the first must come in `start`."""
        rows, times = 0, []
        for headers, _, at in self._messages(self._begun + limit, silent, self._begun + start):
            rows += int(headers["phia-rows"])
            times.append(at)
        if not times:
            raise TimeoutError(f"no sequence after {start:.0f} s")
        return Arrived(rows, self._begun, times[0], times[-1])

    def rows(self, seconds: float) -> Iterator[tuple[pa.RecordBatch, float]]:
        """The batches that come within a time, each with the moment (Unix, s) it was there."""
        for _, value, _ in self._messages(time.monotonic() + seconds, None):
            yield pa.ipc.open_stream(value).read_next_batch(), time.time()

    def _messages(
        self, until: float, silent: float | None, first: float = 0.0
    ) -> Iterator[tuple[dict[str, str], bytes, float]]:
        heard = max(time.monotonic(), first)
        while (now := time.monotonic()) < until and (silent is None or now < heard + silent):
            for records in self._consumer.poll(timeout_ms=POLL_MS).values():
                for record in records:
                    if record.value is not None:
                        heard = time.monotonic()
                        headers = {name: value.decode() for name, value in record.headers}
                        yield headers, record.value, heard
