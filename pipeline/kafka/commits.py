"""Offsets committed for a group, so that its lag shows in the usual tools; nothing needs them."""

import logging
from threading import Lock

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from kafka_client.clients import Connection, KafkaUnavailable, consumer, explained
from pipeline.kafka.reading import Place, split_place

COMMIT_MS = 5_000


class Commits:
    """Commits through a client of its own: bundles become final in another thread than reads."""

    def __init__(self, connection: Connection, group: str) -> None:
        self._connection = connection
        self._group = group
        self._lock = Lock()
        self._consumer: KafkaConsumer | None = None

    def commit(self, offsets: dict[Place, int]) -> bool:
        """Commits, or says in the log why not; never an error: a job does not depend on it."""
        where = {
            TopicPartition(*split_place(place)): OffsetAndMetadata(offset, "", -1)
            for place, offset in offsets.items()
        }
        with self._lock:
            try:
                client = self._client()
                with explained(self._connection, f"cannot commit for group {self._group!r}"):
                    client.commit(where, timeout_ms=COMMIT_MS)
            except KafkaUnavailable as error:
                logging.getLogger(__name__).warning("%s", error)
                return False
        return True

    def close(self) -> None:
        """Closes the client."""
        with self._lock:
            if self._consumer is not None:
                self._consumer.close(timeout_ms=COMMIT_MS)
                self._consumer = None

    def _client(self) -> KafkaConsumer:
        if self._consumer is None:
            self._consumer = consumer(self._connection, group_id=self._group)
        return self._consumer
