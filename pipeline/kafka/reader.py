"""One reader of Kafka: a consumer of its partitions, whose records it gives as they arrived."""

import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import LogTruncationError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from kafka_client.clients import Connection, KafkaUnavailable, consumer, explained
from kafka_client.polling import poll
from pipeline.kafka.contact import Contact
from pipeline.kafka.losses import Lost
from pipeline.kafka.merging import Gathered, Merging, Record, in_one
from pipeline.kafka.reading import Place, Reading, split_place

GATHER_RECORDS, GATHER_BOUNDED = 10_000, 50_000
GATHER_BYTES = 16 << 20
GATHER_S = 0.5
POLL_MS = 100
STALL_S = 120.0


class Reader:
    """Reads on from a reading. `gather` gives batches; a reader is at one place at a time."""

    def __init__(self, connection: Connection, reading: Reading) -> None:
        self._connection = connection
        # Without a reset: kafka-python would pass over what was deleted without a word.
        self._consumer: KafkaConsumer = consumer(
            connection, max_poll_records=2000, auto_offset_reset="none"
        )
        self._contact = Contact(connection, self._consumer)
        self._caught_up = False
        self._losses: list[Lost] = []
        self._cut: dict[TopicPartition, OffsetAndMetadata | None] = {}
        self._merging = Merging(reading.offsets)
        self._stops = reading.stops
        self.offsets = dict(reading.offsets)
        self.took_bytes, self.filled = (
            0,
            False,
        )  # of the last batch: was there enough for a whole one
        self._places: dict[TopicPartition, Place] = {}
        self._at: dict[TopicPartition, int] = {}  # as of the last poll: to ask takes long
        self._assign(reading.offsets)

    def add(self, offsets: dict[Place, int]) -> None:
        """More partitions, that were found while reading."""
        self.offsets |= offsets
        for place in offsets:
            self._merging.add(place, [])
        self._assign(offsets)

    def close(self) -> None:
        """Closes the consumer."""
        self._consumer.close(timeout_ms=5_000)

    def gather(self) -> Gathered:
        """The next records in the order of their arrival: about GATHER_RECORDS (bounded:
        GATHER_BOUNDED) or GATHER_BYTES, or what came in GATHER_S; none if there is nothing new,
        or the cluster is away for a while. Raises KafkaUnavailable where it is for long."""
        parts: list[Gathered] = []
        left = GATHER_RECORDS if self._stops is None else GATHER_BOUNDED
        left_bytes = GATHER_BYTES
        ends, stalls = time.monotonic() + GATHER_S, time.monotonic() + STALL_S
        with explained(self._connection, "cannot read", "Read"):
            while left > 0 and left_bytes > 0:
                came = self._poll()
                parts.append(self._merging.take())
                left, left_bytes = left - len(parts[-1]), left_bytes - parts[-1].bytes
                if self.ended or (self._stops is None and (time.monotonic() > ends or not came)):
                    break
                stalls = time.monotonic() + STALL_S if came else stalls
                if time.monotonic() > stalls:
                    raise KafkaUnavailable(f"nothing came for {STALL_S:.0f} s; {self._behind()}")
        self.filled = left <= 0 or left_bytes <= 0
        self.took_bytes = GATHER_BYTES - left_bytes
        gathered = in_one(parts)
        self._advance(gathered)
        return gathered

    @property
    def ended(self) -> bool:
        """Whether a bounded reader has given everything up to its stops."""
        if self._stops is None or len(self._merging):
            return False
        return all(self._at[tp] >= self._stops[p] for tp, p in self._places.items())

    @property
    def caught_up(self) -> bool:
        """Whether the cluster has just said that there is nothing more to read."""
        return self._caught_up and not len(self._merging)

    @property
    def silence(self) -> int:
        """The ms, since this was asked or something came, in which certainly nothing came."""
        return self._contact.silence(self.caught_up)

    @property
    def behind(self) -> dict[Place, int]:
        """How many records of each partition are not given yet, as far as is known."""
        ends = {place: self._consumer.highwater(tp) for tp, place in self._places.items()}
        return {place: max((end or 0) - self.offsets[place], 0) for place, end in ends.items()}

    def take_losses(self) -> list[Lost]:
        """The offsets that were gone when their turn came, since this was called."""
        losses, self._losses = self._losses, []
        return losses

    def _assign(self, offsets: dict[Place, int]) -> None:
        self._places |= {TopicPartition(*split_place(place)): place for place in offsets}
        with explained(self._connection, "cannot read", "Read"):
            self._consumer.assign(list(self._places))
            for place, offset in offsets.items():
                self._consumer.seek(TopicPartition(*split_place(place)), offset)
                self._at[TopicPartition(*split_place(place))] = offset

    def _poll(self) -> bool:
        """Takes what came into the buffers; False if nothing did."""
        self._mend()
        self._hold_back(self._merging.full)
        polled = self._polled()
        for tp, records in polled.items():
            self._merging.add(self._places[tp], self._wanted(self._places[tp], records))
        if polled:
            self._contact.heard()
        self._merging.mark_ended(self._ended(bool(polled)))
        return bool(polled)

    def _polled(self) -> dict[TopicPartition, list[Record]]:
        try:
            return poll(self._consumer, POLL_MS)
        except OffsetOutOfRangeError as error:
            for tp, offset in error.args[0].items():
                self._pass_over(tp, offset)
        except LogTruncationError as error:
            self._cut |= error.divergent_offsets
        return {}

    def _mend(self) -> None:
        """Goes on in logs that lack what was read of them; what remains is asked for again."""
        cut, self._cut = self._cut, {}
        for tp, divergent in cut.items():
            offset = self.offsets[self._places[tp]]
            self._pass_over(tp, offset, 0 if divergent is None else divergent.offset)

    def _pass_over(self, tp: TopicPartition, offset: int, end: int | None = None) -> None:
        """Goes on at the first offset there is, once all that was read before is taken. `end` is
        given where the cluster says that what was read is no part of the log from there on."""
        place = self._places[tp]
        ends, begin = self._contact.ends([tp]), self._contact.beginning(tp)
        if self._merging.waits(place) or ends is None or begin is None:
            return
        if offset < begin:
            self._lose(Lost(place, offset, begin))
        elif end is not None or offset > ends[tp]:
            self._lose(Lost(place, offset, begin, ends[tp] if end is None else end))
        else:  # it has come back, as where the cluster was asked while it took up a log again
            begin = offset
        self._consumer.seek(tp, begin)

    def _lose(self, lost: Lost) -> None:
        """Remembers a loss, of a bounded reader no more than it was to read."""
        stop = lost.until if self._stops is None else self._stops[lost.place]
        if lost.end is None:
            if stop > lost.first:
                self._losses.append(replace(lost, until=min(lost.until, stop)))
        elif self._stops is None:
            self._losses.append(lost)
        else:
            raise KafkaUnavailable(
                f"{lost.place} ends at offset {lost.end} and was read up to {lost.first}: the "
                "topic was made anew while it was read; run again"
            )

    def _ended(self, came: bool) -> dict[Place, bool]:
        """Which partitions have nothing more to give for now: by their stops, or else as the
        cluster says. It is asked where nothing came, and else not more often than FRESH_S."""
        at = self._at = {tp: self._position(tp) for tp in self._places}
        if self._stops is not None:
            return {place: at[tp] >= self._stops[place] for tp, place in self._places.items()}
        highwater = {tp: self._consumer.highwater(tp) for tp in at}
        ended = {tp: end is not None and at[tp] >= end for tp, end in highwater.items()}
        self._caught_up = False
        if not came or (any(ended.values()) and not self._contact.fresh):
            ends = self._contact.ends(at)
            ended = {tp: ends is not None and at[tp] >= ends[tp] for tp in at}
            self._caught_up = not came and all(ended.values())
        return {place: ended[tp] for tp, place in self._places.items()}

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
        for tp, place in self._places.items():
            if not self._merging.waits(place):
                # A log has gaps, and may end in markers that are no records.
                stop = self._at[tp] if self._stops is None else self._stops[place]
                self.offsets[place] = min(self._at[tp], stop)

    def _position(self, tp: TopicPartition) -> int:
        try:
            return int(self._consumer.position(tp))
        except LogTruncationError as error:  # is raised wherever kafka-python thinks of it
            self._cut |= error.divergent_offsets
            return int(self._consumer.position(tp))

    def _behind(self) -> str:
        stops = self._stops or {}
        left = {p: stops[p] - self._at[tp] for tp, p in self._places.items() if p in stops}
        return ", ".join(f"{n} offsets left in {place}" for place, n in left.items() if n > 0)
