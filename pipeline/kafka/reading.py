"""Where a reader of Kafka stands: the restriction of the source, and its tracker.

A restriction is a *reader*: all the partitions that it was given, with the next offset of each and
what is known of their watermarks. It goes through checkpoints as JSON. A reader is stopped only
where it stands (a split at 0); it is never split in parts.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from apache_beam.coders import Coder
from apache_beam.coders.coders import NullableCoder, TimestampCoder
from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import WatermarkEstimatorProvider
from apache_beam.utils.timestamp import Timestamp

from schemas.layout import WAY_OUT
from transforms.core.growth import StateRefused
from transforms.core.late import BEFORE_ALL, Watermark

Place = str
"""A topic and partition, as "TOPIC/PARTITION"."""


def place_of(topic: str, partition: int) -> Place:
    """The name of a partition."""
    return f"{topic}/{partition}"


def split_place(place: Place) -> tuple[str, int]:
    """The topic and the partition's number."""
    topic, _, partition = place.rpartition("/")
    return topic, int(partition)


@dataclass(frozen=True)
class Reading:
    """The next offset of each partition; where a bounded reader stops; the watermarks; among how
    many readers the partitions were dealt out; and what time may be released by now."""

    offsets: dict[Place, int] = field(default_factory=dict)
    stops: dict[Place, int] | None = None
    newest: dict[Place, int] = field(default_factory=dict)
    heard: dict[Place, int] = field(default_factory=dict)
    watermark: int = BEFORE_ALL
    clock: int = BEFORE_ALL
    readers: int = 1
    released: int = BEFORE_ALL

    @property
    def left(self) -> int:
        """How many offsets a bounded reader has before it, 1 for an unbounded one."""
        if self.stops is None:
            return 1
        return sum(stop - self.offsets[place] for place, stop in self.stops.items())

    def moved(self, offsets: dict[Place, int], watermark: Watermark, horizon: int) -> "Reading":
        """The reading after a batch, of a job whose horizon is `horizon` ms."""
        return replace(
            self,
            offsets=self.offsets | offsets,
            newest=dict(watermark.newest),
            heard=dict(watermark.heard),
            watermark=watermark.job,
            clock=watermark.clock,
            released=max(self.released, watermark.job - horizon),
        )

    def watermarks(self, idle: int) -> Watermark:
        """The watermark as it stands, to go on from."""
        newest, heard = dict(self.newest), dict(self.heard)
        return Watermark(idle, newest, heard, self.watermark, self.clock, self.released)


class ReadingCoder(Coder):  # type: ignore[misc]
    """A reading as JSON."""

    def encode(self, value: Reading) -> bytes:
        """The bytes of a reading; without what is released where that is not known, as they were
        before it was kept."""
        fields = asdict(value)
        if value.released == BEFORE_ALL:
            del fields["released"]
        return json.dumps(fields, sort_keys=True).encode()

    def decode(self, encoded: bytes) -> Reading:
        """The reading of these bytes."""
        return Reading(**json.loads(encoded))

    def is_deterministic(self) -> bool:
        """Keys are sorted."""
        return True


class ReadingTracker(RestrictionTracker):  # type: ignore[misc]
    """Tracks a reader, which claims by giving the reading after its next batch."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._stopped = False

    def current_restriction(self) -> Reading:
        """Where the reader stands."""
        return self._reading

    def try_claim(self, position: Reading) -> bool:
        """Takes a batch by what is true after it; False when the reader was stopped before."""
        if self._stopped:
            return False
        self._reading = position
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[Reading, Reading] | None:
        """Stops the reader where it stands, and leaves all that is before it."""
        if fraction_of_remainder != 0 or self._stopped:
            return None
        self._stopped = True
        rest = self._reading
        self._reading = replace(rest, stops=dict(rest.offsets))
        return self._reading, rest

    def check_done(self) -> bool:
        """Raises ValueError where a bounded reader ended before its stops."""
        if not self._stopped and self._reading.left > 0:
            raise ValueError(f"{self._reading.left} offsets were not read")
        return True

    def current_progress(self) -> RestrictionProgress:
        """How much is done, in offsets of a bounded reader. As a fraction: what is said to be
        completed Beam replaces by the bytes given, which are NaN until it has taken a sample."""
        done, left = float(sum(self._reading.offsets.values())), float(self._reading.left)
        fraction = done / (done + left) if left else 1.0
        return RestrictionProgress(fraction=fraction, remaining=left)

    def is_bounded(self) -> bool:
        """Whether the reader stops by itself."""
        return self._reading.stops is not None


class Reported(WatermarkEstimatorProvider):  # type: ignore[misc]
    """The watermark that a reader reported last, to whole ms; none at first. It is kept as a plain
    timestamp: by default Beam would pickle a class of its own into the state."""

    def initial_estimator_state(self, element: int, restriction: Reading) -> None:
        """Nothing is reported yet."""

    def create_watermark_estimator(self, estimator_state: Timestamp | None) -> Any:
        """Goes on from what was reported."""
        return ManualWatermarkEstimator(estimator_state)

    def estimator_state_coder(self) -> Coder:
        """The timestamp, or that there is none."""
        return NullableCoder(TimestampCoder())


def check_reading(reading: Reading, readers: int, topics: Collection[str]) -> None:
    """Raises StateRefused where a job goes on with a reading that it would read wrongly: each
    reader finds its new partitions by the number of readers."""
    if reading.readers != readers:
        raise StateRefused(
            f"the state was written with --readers: {reading.readers} → {readers}; {WAY_OUT}"
        )
    for topic in sorted({split_place(place)[0] for place in reading.offsets} - {*topics}):
        raise StateRefused(f"the state was written with sources.{topic}: there → absent; {WAY_OUT}")


def start_of(offsets: dict[Place, int], stops: dict[Place, int] | None) -> Reading:
    """The reading to start with. A bounded reader's partitions that have nothing to read hold
    nothing back; any other holds the watermark until something comes, or it has been silent since
    the first arrival of all."""
    places = [place for place in offsets if stops is None or offsets[place] < stops[place]]
    return Reading(
        offsets,
        stops,
        dict.fromkeys(places, BEFORE_ALL),
        dict.fromkeys(places, BEFORE_ALL),
    )
