"""Kafka as a Beam source: an unbounded splittable DoFn whose restriction is a reader.

One claim is one gathered batch of records, decoded: an element costs a runner the same at any
size. The reader takes the least watermark of its partitions itself, since it decides on what is
late, and since some runners take the last one reported.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Duration, Timestamp

from kafka_client.clients import Connection, explained
from pipeline.kafka.arrivals import Arrivals
from pipeline.kafka.reader import Reader
from pipeline.kafka.reading import Reading, ReadingCoder, ReadingTracker, start_of
from pipeline.kafka.starting import Start, new_places, starting_offsets, stopping_offsets
from schemas.spec import Spec
from transforms.coders import OBSERVATIONS, Tagged
from transforms.core.arrays import ints
from transforms.core.late import BEFORE_ALL, Watermark

POLL_S = 1  # a resume delay is cut to whole seconds, and 0 spins
SLICE_S = 5.0
DISCOVER_S = 30.0


@dataclass(frozen=True)
class Reads:
    """What to read: from where, where to begin, whether up to the present end, by how many
    readers, and the group to commit offsets for."""

    spec: Spec
    connection: Connection
    start: Start
    bounded: bool
    readers: int = 1
    group: str | None = None


class ReadKafka(beam.PTransform):  # type: ignore[misc]
    """Reads the topics of a spec's sources. Bounded: up to their ends as they are at the start."""

    def __init__(self, reads: Reads) -> None:
        super().__init__()
        self._reads = reads

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Tagged record batches, for `Sequences`."""
        stream = ReadUnbounded if self._reads.group is None else ReadCommitting
        read = ReadBounded if self._reads.bounded else stream
        return (
            pipeline
            | "Readers" >> beam.Create(list(range(self._reads.readers)), reshuffle=False)
            | "Read" >> beam.ParDo(read(self._reads)).with_output_types(Tagged)
        )


class _Read(beam.DoFn, RestrictionProvider):  # type: ignore[misc]
    """Reads one reader's partitions; an element is the reader's number."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._topics = list(reads.spec.sources)

    def setup(self) -> None:
        """Once a worker; readers are made when they are needed, and kept while they go on."""
        self._readers: dict[int, Reader] = {}
        self._arrivals = Arrivals(self._reads.spec, sole=self._reads.readers == 1)

    def teardown(self) -> None:
        """Closes the readers."""
        for reader in self._readers.values():
            reader.close()

    def initial_restriction(self, number: int) -> Reading:
        """Where the reader begins: every partition p with p mod R = its number."""
        reads = self._reads
        offsets = starting_offsets(
            reads.connection, self._topics, self._mine(number), reads.start, reads.group
        )
        stops = None
        if reads.bounded:
            stops = stopping_offsets(reads.connection, offsets, self._topics)
        return start_of(offsets, stops, _now() if stops is None else 0)

    def create_tracker(self, restriction: Reading) -> ReadingTracker:
        """Tracks a reading."""
        return ReadingTracker(restriction)

    def restriction_size(self, number: int, restriction: Reading) -> int:
        """The offsets before a bounded reader."""
        return max(restriction.left, 1)

    def restriction_coder(self) -> Coder:
        """Readings are kept as JSON."""
        return ReadingCoder()

    def truncate(self, number: int, restriction: Reading) -> Reading | None:
        """A drained job ends unbounded readers where they stand."""
        return None if restriction.stops is None else restriction

    def _mine(self, number: int) -> Callable[[int], bool]:
        return lambda partition: partition % self._reads.readers == number

    def _reader(self, number: int, reading: Reading) -> Reader:
        """The reader of this number, a new one where it does not stand where it should."""
        reader = self._readers.get(number)
        if reader is not None and reader.offsets == reading.offsets:
            return reader
        if reader is not None:
            reader.close()
        made = Reader(self._reads.connection, reading, self._reads.group)
        self._readers[number] = made
        return made

    def _batches(
        self, number: int, tracker: Any, estimator: Any, slice_s: float
    ) -> Iterator[TimestampedValue]:
        """Gathers, claims and gives batches until a bounded reader's end, or for a time."""
        reading = tracker.current_restriction()
        reader = self._reader(number, reading)
        watermark = reading.watermarks(self._reads.spec.watermark.idle)
        until = time.monotonic() + slice_s
        while not reader.ended:
            gathered = reader.gather()
            batches = self._arrivals.take(gathered, watermark) if gathered else []
            if not gathered and not self._reads.bounded and reader.caught_up:
                watermark.advance(_now())  # what lies unread may be of any time
            reading = reading.moved(reader.offsets, watermark)
            if not tracker.try_claim(reading):
                return
            reported = estimator.current_watermark()
            yield from (_stamped(batch, reported) for batch in batches)
            _report(estimator, watermark)
            if not self._reads.bounded and (not gathered or time.monotonic() > until):
                tracker.defer_remainder(Duration(0 if gathered else POLL_S))
                return


class ReadBounded(_Read):
    """Reads up to the ends that the topics had at the start."""

    def process(
        self,
        element: int,
        tracker: Any = beam.DoFn.RestrictionParam(),
        estimator: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[TimestampedValue]:
        """The tagged batches of a reader."""
        yield from self._batches(element, tracker, estimator, math.inf)


class _Stream(_Read):
    """Reads on and on: comes back every few seconds, and finds new partitions."""

    def setup(self) -> None:
        """Once a worker."""
        super().setup()
        self._looked = time.monotonic()

    def _stream(self, number: int, tracker: Any, estimator: Any) -> Iterator[TimestampedValue]:
        self._discover(number, tracker)
        yield from self._batches(number, tracker, estimator, SLICE_S)

    def _discover(self, number: int, tracker: Any) -> None:
        """Adds partitions that the topics got since, from their beginnings."""
        if time.monotonic() - self._looked < DISCOVER_S:
            return
        self._looked = time.monotonic()
        reading = tracker.current_restriction()
        found = new_places(
            self._reads.connection, self._topics, self._mine(number), reading.offsets
        )
        if found:
            watermark = reading.watermarks(self._reads.spec.watermark.idle)
            for place in found:
                watermark.add(place, _now())
            self._reader(number, reading).add(found)
            tracker.try_claim(reading.moved(found, watermark))


@beam.DoFn.unbounded_per_element()
class ReadUnbounded(_Stream):
    """Reads on and on."""

    def process(
        self,
        element: int,
        tracker: Any = beam.DoFn.RestrictionParam(),
        estimator: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[TimestampedValue]:
        """The tagged batches of some seconds."""
        yield from self._stream(element, tracker, estimator)


@beam.DoFn.unbounded_per_element()
class ReadCommitting(_Stream):
    """Reads on and on, and commits for a group what was read before a bundle that is final, so
    that lag shows in the usual tools. Where to go on is in the restriction, not there."""

    def process(
        self,
        element: int,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,  # must stand before the two that follow
        tracker: Any = beam.DoFn.RestrictionParam(),
        estimator: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[TimestampedValue]:
        """The tagged batches of some seconds."""
        offsets = tracker.current_restriction().offsets
        finalizer.register(lambda: self._commit(element, offsets))
        yield from self._stream(element, tracker, estimator)

    def _commit(self, number: int, offsets: dict[str, int]) -> None:
        if number in self._readers:
            with explained(self._reads.connection, "cannot commit offsets"):
                self._readers[number].commit(offsets)


def _now() -> int:
    return int(time.time() * 1000)


def _stamped(tagged: Tagged, reported: Timestamp | None) -> TimestampedValue:
    """A batch at a time that holds the watermark back until it is processed, but not for long:
    its earliest event time, or where the watermark is beyond that, the watermark."""
    tag, batch = tagged
    low = MIN_TIMESTAMP if reported is None else reported
    if tag != OBSERVATIONS:
        return TimestampedValue(tagged, low)
    earliest = Timestamp(micros=int(ints(batch["time"]).min()) * 1000)
    return TimestampedValue(tagged, max(earliest, low))


def _report(estimator: Any, watermark: Watermark) -> None:
    if watermark.job <= BEFORE_ALL:
        return
    now = Timestamp(micros=watermark.job * 1000)
    reported = estimator.current_watermark()
    if reported is None or now > reported:
        estimator.set_watermark(now)
