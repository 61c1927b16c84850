"""Kafka as a Beam source: an unbounded splittable DoFn whose restriction is a reader.

One claim is one gathered batch of records, decoded: an element costs a runner the same at any
size. The reader takes the least watermark of its partitions itself, since it decides on what is
late, and since some runners take the last one reported.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Duration, Timestamp

from kafka_client.clients import Connection, KafkaUnavailable
from pipeline.kafka.arrivals import Arrivals
from pipeline.kafka.commits import Commits
from pipeline.kafka.losses import tagged
from pipeline.kafka.measured import tell_batch, tell_reader
from pipeline.kafka.reader import Reader
from pipeline.kafka.reading import (
    Reading,
    ReadingCoder,
    ReadingTracker,
    Reported,
    check_reading,
    start_of,
)
from pipeline.kafka.starting import Start, new_places, starting_offsets, stopping_offsets
from schemas.spec import Spec
from transforms.coders import OBSERVATIONS, Tagged
from transforms.core.arrays import ints
from transforms.core.late import BEFORE_ALL, Watermark
from transforms.core.reached import reached
from transforms.measures import Stopwatch

SLICE_S = 5.0
"""How long a call lasts at least while there is much to read."""

HAND_BACK_S = 0.3
PAUSE = Duration(micros=1_100_000)
"""Between two calls where all was read: Flink tells the next stages of a watermark between two
calls alone, and then only where the second is not due yet; it cuts this off to whole seconds."""

BEATS_MS, BEAT_MS = 2_000, 1_000
"""A reader reports so much less than its watermark, and a beat more each time that it hands back,
up to the watermark. Flink does not fire a timer that was set when its watermark was there already,
as that of a batch may be; it does so when the watermark moves once more."""

DISCOVER_S = 30.0


@dataclass(frozen=True)
class Reads:
    """What to read: from where, where to begin, whether up to the present end, by how many
    readers, the group to commit offsets for, and how long a call of a stream lasts, s.

    A runner learns the watermark, and may take a checkpoint, when a call ends. Until Beam 2.76
    each end leaves a little state behind on Flink.
    """

    spec: Spec
    connection: Connection
    start: Start
    bounded: bool
    readers: int = 1
    group: str | None = None
    hand_back: float = HAND_BACK_S


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
            | "Impulse" >> beam.Impulse()  # not Create, whose steps have other names in each Beam
            | "Readers" >> beam.FlatMap(_numbers, self._reads.readers).with_output_types(int)
            | "Read" >> beam.ParDo(read(self._reads)).with_output_types(Tagged)
        )


def _numbers(_: bytes, readers: int) -> Iterator[int]:
    yield from range(readers)


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
        return replace(start_of(offsets, stops), readers=reads.readers)

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
        check_reading(reading, self._reads.readers, self._topics)
        # Where the one before went further, its bundle failed: what it gave is not there.
        self._arrivals.forget()
        made = Reader(self._reads.connection, reading)
        self._readers[number] = made
        return made

    def _batches(self, number: int, tracker: Any, estimator: Any) -> Iterator[TimestampedValue]:
        """Gathers, claims and gives batches until a bounded reader's end, or for a time."""
        reading = tracker.current_restriction()
        reader = self._reader(number, reading)
        watermark = reading.watermarks(self._reads.spec.watermark.idle)
        begun = time.monotonic()
        while not reader.ended:
            with Stopwatch() as watch:
                gathered = reader.gather()
            batches = self._arrivals.take(gathered, watermark) if gathered else []
            if not gathered and not self._reads.bounded:
                _wait(watermark, reader.silence)
            batches += tagged(reader.take_losses())
            reading = reading.moved(reader.offsets, watermark, self._reads.spec.horizon)
            if not tracker.try_claim(reading):
                return
            reported = estimator.current_watermark()
            after = _to_report(watermark, reported)
            tell_batch(len(gathered), reader.took_bytes, watch.us)
            tell_reader(number, reader.behind, watermark.job)
            yield from (self._stamped(batch, reported, after) for batch in batches)
            is_over = self._is_over(time.monotonic() - begun, reader.filled)
            if after is not None:
                estimator.set_watermark(_after_a_beat(watermark, after) if is_over else after)
            if is_over:
                tracker.defer_remainder(Duration(0) if reader.filled else PAUSE)
                return

    def _stamped(
        self, tagged: Tagged, reported: Timestamp | None, after: Timestamp | None
    ) -> TimestampedValue:
        """A batch at a time that holds the watermark back until it is processed, but not for long:
        a ms before its earliest event time, since a timer of that very time might fire first; or
        where the watermark is beyond that, the watermark. A sole reader tells what the job's
        watermark will be after it."""
        tag, batch = tagged
        low = MIN_TIMESTAMP if reported is None else reported
        if tag != OBSERVATIONS:
            return TimestampedValue(tagged, low)
        before = Timestamp(micros=(int(ints(batch["time"]).min()) - 1) * 1000)
        if self._reads.readers == 1 and after is not None:
            batch = reached(batch, after.micros // 1000)
        return TimestampedValue((tag, batch), max(before, low))

    def _is_over(self, seconds: float, far: bool) -> bool:
        """Whether a stream's call has lasted long enough."""
        lasts = max(SLICE_S, self._reads.hand_back) if far else self._reads.hand_back
        return not self._reads.bounded and seconds > lasts


class ReadBounded(_Read):
    """Reads up to the ends that the topics had at the start."""

    def process(
        self,
        element: int,
        tracker: Any = beam.DoFn.RestrictionParam(),
        estimator: Any = beam.DoFn.WatermarkEstimatorParam(Reported()),
    ) -> Iterator[TimestampedValue]:
        """The tagged batches of a reader."""
        yield from self._batches(element, tracker, estimator)


class _Stream(_Read):
    """Reads on and on: comes back every few seconds, and finds new partitions."""

    def setup(self) -> None:
        """Once a worker."""
        super().setup()
        self._looked: dict[int, float] = {}  # at first at once: there may be one more topic

    def _stream(self, number: int, tracker: Any, estimator: Any) -> Iterator[TimestampedValue]:
        self._discover(number, tracker)
        yield from self._batches(number, tracker, estimator)

    def _discover(self, number: int, tracker: Any) -> None:
        """Adds partitions that the topics got since, from offset 0."""
        if time.monotonic() - self._looked.get(number, -math.inf) < DISCOVER_S:
            return
        self._looked[number] = time.monotonic()
        reading = tracker.current_restriction()
        found = self._found(number, reading)
        if found:
            watermark = reading.watermarks(self._reads.spec.watermark.idle)
            for place in found:
                watermark.add(place, watermark.clock)
            self._reader(number, reading).add(found)
            tracker.try_claim(reading.moved(found, watermark, self._reads.spec.horizon))

    def _found(self, number: int, reading: Reading) -> dict[str, int]:
        reads = self._reads
        try:
            return new_places(reads.connection, self._topics, self._mine(number), reading.offsets)
        except KafkaUnavailable as error:
            logging.getLogger(__name__).warning("%s", error)  # reading on says it where it lasts
            return {}


@beam.DoFn.unbounded_per_element()
class ReadUnbounded(_Stream):
    """Reads on and on."""

    def process(
        self,
        element: int,
        tracker: Any = beam.DoFn.RestrictionParam(),
        estimator: Any = beam.DoFn.WatermarkEstimatorParam(Reported()),
    ) -> Iterator[TimestampedValue]:
        """The tagged batches of some seconds."""
        yield from self._stream(element, tracker, estimator)


@beam.DoFn.unbounded_per_element()
class ReadCommitting(_Stream):
    """Reads on and on, and commits for a group what was read before a bundle that is final, so
    that lag shows in the usual tools. Where to go on is in the restriction, not there."""

    def setup(self) -> None:
        """Once a worker."""
        super().setup()
        self._commits = Commits(self._reads.connection, str(self._reads.group))

    def teardown(self) -> None:
        """Closes the clients."""
        super().teardown()
        self._commits.close()

    def process(
        self,
        element: int,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,  # must stand before the two that follow
        tracker: Any = beam.DoFn.RestrictionParam(),
        estimator: Any = beam.DoFn.WatermarkEstimatorParam(Reported()),
    ) -> Iterator[TimestampedValue]:
        """The tagged batches of some seconds."""
        offsets = tracker.current_restriction().offsets
        finalizer.register(lambda: self._commits.commit(offsets))
        yield from self._stream(element, tracker, estimator)


def _wait(watermark: Watermark, silence: int) -> None:
    """Moves the clock of arrivals on while nothing comes. No wall clock: it may differ from that
    of Kafka's timestamps, and would count an outage as silence of all partitions."""
    if silence and watermark.clock > BEFORE_ALL:
        heard = watermark.heard  # a partition that was never heard is silent from now on
        watermark.heard = {p: min(at, watermark.clock) for p, at in heard.items()}
        watermark.advance(watermark.clock + silence)


def _to_report(watermark: Watermark, reported: Timestamp | None) -> Timestamp | None:
    """What to report after a batch: a little less than the job's watermark, and never less than
    before."""
    if watermark.job <= BEFORE_ALL:
        return reported
    now = Timestamp(micros=(watermark.job - BEATS_MS) * 1000)
    return now if reported is None else max(now, reported)


def _after_a_beat(watermark: Watermark, reported: Timestamp) -> Timestamp:
    """A beat more than what was reported, up to the job's watermark."""
    beat = reported + Duration(micros=BEAT_MS * 1000)
    return max(reported, min(beat, Timestamp(micros=watermark.job * 1000)))
