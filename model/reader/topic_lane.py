"""What is done with each message of a lane of a topic: copies and void rows are left out.

Legend: N rows of a message.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.batch import SequenceBatch
from model.reader.lane import Lane
from model.reader.merged import Arrived
from model.reader.messages import erasure_of, rows_of
from model.reader.progress import Erasure, Place, Progress, voided
from model.reader.rows import Checking, Choose, Rows
from model.reader.seen import Bools, Seen
from model.reader.sifting import Sifted
from model.reader.state import LaneState


@dataclass(frozen=True)
class TopicLane:
    """Uses the messages of lane `number` of `of` of a topic with so many partitions.

    A sequence is known as a copy for `window` to 2 · `window` ms of Kafka's timestamps.
    """

    lane: Lane
    number: int
    of: int
    topic: str
    partitions: int
    checking: Checking
    choose: Choose | None
    window: int

    @property
    def state(self) -> LaneState:
        """All that came."""
        return self.lane.state

    def use(self, arrived: Arrived) -> Iterator[SequenceBatch]:
        """The batches that a message completes. Raises Failure where it is none of this topic."""
        message = arrived.message
        # Before the first row, so that a message that is read on in its midst finds the same.
        self.state.forget(self._generation(arrived) - self.window)
        where = f"topic {self.topic!r}, partition {message.partition}, offset {message.offset}"
        if message.value is None:
            self._erase(arrived, *erasure_of(message, where))
        else:
            yield from self._use_rows(arrived, rows_of(message, self.checking, where))

    def _erase(self, arrived: Arrived, user: int, until: int) -> None:
        erasure = Erasure(user, until, self._generation(arrived))
        dropped = self.lane.erase(erasure)
        counts = {"void": dropped, "lost": arrived.lost}
        self.lane.note(
            self._progress(arrived, Place(arrived.message.offset + 1), counts, erasures=(erasure,))
        )

    def _use_rows(self, arrived: Arrived, rows: Rows) -> Iterator[SequenceBatch]:
        offset, first = arrived.message.offset, self._rows_used(arrived)
        left = rows.part(first, len(rows))
        void_N = voided(left.seen, self.state.erased)
        sifted = Sifted.of(left, void_N, ~void_N & self._copies(left.seen), self.choose)

        def used(start: int, stop: int) -> Progress:
            all_used = first + stop == len(rows)
            place = Place(offset + 1) if all_used else Place(offset, first + stop)
            counts = {**sifted.counts(start, stop), "lost": 0 if start else arrived.lost}
            return self._progress(arrived, place, counts, sifted.fresh(start, stop))

        yield from self.lane.use(sifted, used)

    def _rows_used(self, arrived: Arrived) -> int:
        place = self.state.places.get(arrived.message.partition, Place(-1))
        return place.rows if place.offset == arrived.message.offset else 0

    def _copies(self, seen: Seen) -> Bools:
        """Sequences that have come before, in other messages or in this one."""
        first = np.zeros(len(seen), bool)
        first[np.unique(seen.ids, return_index=True)[1]] = True
        return ~first | self.state.window.has(seen.ids)

    def _generation(self, arrived: Arrived) -> int:
        clock = max(arrived.clock, *(place.clock for place in self.state.places.values()), 0)
        return clock - clock % self.window

    def _progress(
        self,
        arrived: Arrived,
        place: Place,
        counts: dict[str, int],
        seen: Seen | None = None,
        erasures: tuple[Erasure, ...] = (),
    ) -> Progress:
        generation = self._generation(arrived)
        return Progress(
            self.number,
            self.of,
            self.partitions,
            {arrived.message.partition: place._replace(clock=arrived.clock)},
            seen={generation: seen} if seen is not None else {},
            erasures=erasures,
            oldest=generation - self.window,
            counts=counts,
        )
