"""One reader of Kafka: a consumer of its partitions, whose records it gives as they arrived."""

import time
from collections.abc import Iterable

import numpy as np
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from kafka_client.clients import Connection, KafkaUnavailable, consumer, explained
from pipeline.kafka.merging import Gathered, Merging, Record, in_one
from pipeline.kafka.reading import Place, Reading, split_place

GATHER_RECORDS, GATHER_BOUNDED = 10_000, 50_000
GATHER_BYTES = 16 << 20
GATHER_S = 0.5
POLL_MS = 100
STALL_S = 60.0


class Reader:
    """Reads on from a reading. `gather` gives batches; a reader is at one place at a time."""

    def __init__(self, connection: Connection, reading: Reading, group: str | None) -> None:
        settings = {"group_id": group} if group else {}
        self._connection = connection
        self._consumer: KafkaConsumer = consumer(connection, max_poll_records=2000, **settings)
        self._merging = Merging(reading.offsets)
        self._stops = reading.stops
        self.offsets = dict(reading.offsets)
        self._places: dict[TopicPartition, Place] = {}
        self._assign(reading.offsets)

    def add(self, offsets: dict[Place, int]) -> None:
        """More partitions, that were found while reading."""
        self.offsets |= offsets
        for place in offsets:
            self._merging.add(place, [])
        self._assign(offsets)

    def close(self) -> None:
        """Closes the consumer; offsets are committed only where `commit` was called."""
        self._consumer.close(timeout_ms=5_000)

    def gather(self) -> Gathered:
        """The next records in the order of their arrival: about GATHER_RECORDS (bounded:
        GATHER_BOUNDED) or GATHER_BYTES, or what came in GATHER_S; none if there is nothing new.
        Raises KafkaUnavailable."""
        parts: list[Gathered] = []
        left = GATHER_RECORDS if self._stops is None else GATHER_BOUNDED
        left_bytes = GATHER_BYTES
        ends, stalls = time.monotonic() + GATHER_S, time.monotonic() + STALL_S
        with explained(self._connection, "cannot read"):
            while left > 0 and left_bytes > 0:
                came = self._poll()
                parts.append(self._merging.take())
                left, left_bytes = left - len(parts[-1]), left_bytes - parts[-1].bytes
                if self.ended or (self._stops is None and (time.monotonic() > ends or not came)):
                    break
                stalls = time.monotonic() + STALL_S if came else stalls
                if time.monotonic() > stalls:
                    raise KafkaUnavailable(f"nothing came for {STALL_S:.0f} s; {self._behind()}")
        gathered = in_one(parts)
        self._advance(gathered)
        return gathered

    @property
    def ended(self) -> bool:
        """Whether a bounded reader has given everything up to its stops."""
        if self._stops is None or len(self._merging):
            return False
        return all(self._position(tp) >= self._stops[p] for tp, p in self._places.items())

    @property
    def caught_up(self) -> bool:
        """Whether there was nothing more to read a moment ago."""
        return not len(self._merging) and all(map(self._is_at_end, self._places))

    def commit(self, offsets: dict[Place, int]) -> None:
        """Commits offsets for the group, so that its lag shows; best effort, not for resuming."""
        where = {
            TopicPartition(*split_place(place)): OffsetAndMetadata(offset, "", -1)
            for place, offset in offsets.items()
        }
        self._consumer.commit(where)

    def _assign(self, offsets: dict[Place, int]) -> None:
        self._places |= {TopicPartition(*split_place(place)): place for place in offsets}
        with explained(self._connection, "cannot read"):
            self._consumer.assign(list(self._places))
            for place, offset in offsets.items():
                self._consumer.seek(TopicPartition(*split_place(place)), offset)

    def _poll(self) -> bool:
        """Takes what came into the buffers; False if nothing did."""
        self._hold_back(self._merging.full)
        polled = self._consumer.poll(timeout_ms=POLL_MS)
        for tp, records in polled.items():
            self._merging.add(self._places[tp], self._wanted(self._places[tp], records))
        # Where nothing came at all, everything that is there has come.
        ended = {place: not polled or self._is_at_end(tp) for tp, place in self._places.items()}
        if self._stops is not None:
            ended = {p: self._position(tp) >= self._stops[p] for tp, p in self._places.items()}
        self._merging.mark_ended(ended)
        return bool(polled)

    def _hold_back(self, full: Iterable[Place]) -> None:
        """Fetches nothing of partitions that wait for others."""
        held = [TopicPartition(*split_place(place)) for place in full]
        free = [tp for tp in self._consumer.paused() if tp not in held]
        if free:
            self._consumer.resume(*free)
        if held:
            self._consumer.pause(*held)

    def _wanted(self, place: Place, records: list[Record]) -> list[Record]:
        if self._stops is None or not records or records[-1].offset < self._stops[place]:
            return records
        return [record for record in records if record.offset < self._stops[place]]

    def _advance(self, gathered: Gathered) -> None:
        for number, place in enumerate(gathered.places):
            mine = np.flatnonzero(gathered.which == number)
            if len(mine):
                self.offsets[place] = gathered.records[mine[-1]].offset + 1
        if self.ended and self._stops is not None:
            self.offsets |= self._stops  # a log may end in markers that are no records

    def _position(self, tp: TopicPartition) -> int:
        return int(self._consumer.position(tp))

    def _is_at_end(self, tp: TopicPartition) -> bool:
        end = self._consumer.highwater(tp)
        return end is not None and self._position(tp) >= end

    def _behind(self) -> str:
        stops = self._stops or {}
        left = {p: stops[p] - self._position(tp) for tp, p in self._places.items() if p in stops}
        return ", ".join(f"{n} offsets left in {place}" for place, n in left.items() if n > 0)
