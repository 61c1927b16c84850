"""Sends a live stream to Kafka in a thread, at its pace, through any outage of the broker."""

import time
from collections.abc import Iterator
from random import Random
from threading import Event, Thread
from typing import Any

import kafka
from kafka.errors import KafkaError

from chaos.stream import CHUNK_S, CLOSING_MS, TICKS_EACH, Chunk, Record, Spoil, ticks
from kafka_client.clients import Connection, KafkaUnavailable, producer
from schemas.failures import Failure
from schemas.ids import bucket_of

OUTAGE_S = 300.0
CONFIRM_S = 90.0


class Sending:
    """A stream on its way: each chunk is confirmed before the next one goes, so that partitions
    never lie further apart than a chunk, whatever befalls the broker.

    `places` are the partitions of each topic that records go to.
    """

    def __init__(
        self,
        where: Connection,
        script: Iterator[tuple[int, Chunk]],
        places: dict[str, list[int]],
        spoil: Spoil,
        random: Random,
    ) -> None:
        self._where, self._script = where, script
        self._places = {topic: list(numbers) for topic, numbers in places.items()}
        self._spoil, self._random = spoil, random
        self._stop = Event()
        self._failure: Failure | None = None
        self._client: kafka.KafkaProducer | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._added: list[tuple[str, int]] = []
        self.records, self.time = 0, 0
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it goes on. Raises what ended it."""
        if self._failure is not None:
            raise self._failure
        return self._thread.is_alive()

    def finish(self) -> int:
        """Stops, sends what closes all sessions, and gives the event time (ms) of that."""
        self.cancel()
        if self._failure is not None:
            raise self._failure
        close = self.time + CLOSING_MS
        self._send(ticks(self._places, close))
        self._refresh()
        return close

    def add(self, topic: str, partition: int) -> None:
        """Sends to a partition more from the next chunk on."""
        self._added.append((topic, partition))

    def cancel(self) -> None:
        """Stops after the chunk that is on its way."""
        self._stop.set()
        self._thread.join(OUTAGE_S + CONFIRM_S)

    def _run(self) -> None:
        try:
            due = time.monotonic()
            for number, (end, chunk) in enumerate(self._script):
                if self._stop.wait(max(due - time.monotonic(), 0)):
                    return
                self._take_added()
                due = max(due + CHUNK_S, time.monotonic())
                more = ticks(self._places, end - 1) if number % TICKS_EACH == 0 else []
                self._send([*self._spoil(chunk, self._random), *more])
                self.time = end
        except Failure as failure:
            self._failure = failure

    def _take_added(self) -> None:
        while self._added:
            topic, partition = self._added.pop()
            self._places[topic].append(partition)
            self._refresh()

    def _send(self, chunk: Chunk) -> None:
        """Sends and confirms; what is not confirmed in time is sent again. Raises Failure."""
        left, until = chunk, time.monotonic() + OUTAGE_S
        while left:
            try:
                left = self._confirmed(left)
            except (KafkaUnavailable, KafkaError) as error:
                if time.monotonic() > until:
                    raise Failure(f"nothing can be sent for {OUTAGE_S:.0f} s: {error}") from error
                time.sleep(0.5)
        self.records += len(chunk)

    def _confirmed(self, chunk: Chunk) -> Chunk:
        """What is left to be sent again; after a failure a new client sends it."""
        if self._client is None:
            self._client = producer(self._where, compression=None)
        client, futures = self._client, list[Any]()
        try:
            futures.extend(self._sent(client, record) for record in chunk)
            client.flush(timeout=CONFIRM_S)
        finally:
            confirmed = [future.is_done and future.succeeded() for future in futures]
            if not all(confirmed) or len(futures) < len(chunk):
                self._refresh()
        return [record for record, is_there in zip(chunk, confirmed, strict=True) if not is_there]

    def _sent(self, client: kafka.KafkaProducer, record: Record) -> Any:
        return client.send(
            record.topic,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            partition=self._partition(record),
            timestamp_ms=record.timestamp,
        )

    def _refresh(self) -> None:
        """Lets a new client send from now on, which knows the partitions that were added."""
        client, self._client = self._client, None
        if client is not None:
            client.close(timeout=1)

    def _partition(self, record: Record) -> int:
        if record.partition is not None:
            return record.partition
        places = self._places[record.topic]
        return places[bucket_of((record.key or b"").decode(errors="replace"), len(places))]
