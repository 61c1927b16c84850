"""The unbounded source by hand: a worker, and where it stands between calls."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from apache_beam.utils.timestamp import MIN_TIMESTAMP, Duration, Timestamp

from kafka_client.clients import Connection
from pipeline.kafka.reading import Reading, ReadingCoder, ReadingTracker
from pipeline.kafka.source import BEATS_MS, ReadCommitting, Reads
from pipeline.kafka.starting import Start
from tests.machine import spec_of
from tests.oracles import shop
from tests.outcome import Row
from transforms.coders import OBSERVATIONS


@dataclass
class Estimator:
    """A watermark estimator that remembers."""

    now: Timestamp | None = None

    def current_watermark(self) -> Timestamp | None:
        return self.now

    def set_watermark(self, at: Timestamp) -> None:
        assert self.now is None or at >= self.now
        self.now = at


@dataclass
class Tracker(ReadingTracker):
    """As Beam's view of a tracker, which may put off the rest."""

    reading: Reading
    deferred: Duration | None = None
    rest: Reading | None = None

    def __post_init__(self) -> None:
        super().__init__(self.reading)

    def defer_remainder(self, delay: Duration) -> None:
        split = self.try_split(0)
        assert split is not None
        self.deferred, self.rest = delay, split[1]


@dataclass
class Finalizer:
    """A bundle's callbacks."""

    callbacks: list[Any] = field(default_factory=list)

    def register(self, callback: Any) -> None:
        self.callbacks.append(callback)


@dataclass
class Live:
    """A worker of the source, where it stands between calls, and the other outputs so far."""

    reads: Reads
    estimator: Estimator = field(default_factory=Estimator)
    beside: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.start_worker()
        self.reading = self.worker.initial_restriction(0)

    def start_worker(self) -> None:
        self.worker = ReadCommitting(self.reads)
        self.worker.setup()

    def call(self) -> tuple[list[Row], Tracker, Finalizer]:
        """One call: the observations given; goes on from what it leaves, through its bytes."""
        tracker, finalizer, rows = Tracker(self.reading), Finalizer(), list[Row]()
        reported = self.estimator.now or MIN_TIMESTAMP
        for each in self.worker.process(0, finalizer, tracker, self.estimator):
            assert each.timestamp >= reported
            tag, batch = each.value
            (rows if tag == OBSERVATIONS else self.beside[tag]).extend(batch.to_pylist())
        assert tracker.check_done()
        coder = ReadingCoder()
        self.reading = coder.decode(coder.encode(tracker.rest or tracker.reading))
        return rows, tracker, finalizer

    def says(self, watermark: Timestamp) -> bool:
        """Whether a watermark is reported, but for the beats that are left before it."""
        now = self.estimator.now
        return now is not None and 0 <= (watermark - now).micros <= BEATS_MS * 1000

    def until(self, count: int) -> list[Row]:
        """Calls until so many rows have come, and it has caught up."""
        rows: list[Row] = []
        deadline = time.monotonic() + 20
        while len(rows) < count:
            assert time.monotonic() < deadline
            rows += self.call()[0]
        return rows


def view(time: int, **values: Any) -> Row:
    return shop.at(time, **{"i": 1, "a": "VIEW", **values})


def items(rows: list[Row]) -> list[int]:
    return [row["item"] for row in rows]


def live_of(kafka: Connection, e: str, x: str, start: Start | None = None, **changes: Any) -> Live:
    """A worker of the shop's two topics, with a group."""
    sources = dict(zip((e, x), shop.spec_of()["sources"].values(), strict=True))
    spec = spec_of(shop.spec_of(sources=sources, **changes))
    return Live(Reads(spec, kafka, start or Start(), bounded=False, group=f"g-{e}", hand_back=0.3))


def topic_of(live: Live) -> str:
    """The first topic that is read."""
    return next(iter(live.reads.spec.sources))
