"""The unbounded source by hand: what it claims, reports and leaves for its next call (S3, S12)."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Duration, Timestamp

from kafka_client.clients import Connection, admin
from pipeline.kafka import reader, source
from pipeline.kafka.reading import Reading, ReadingCoder, ReadingTracker
from pipeline.kafka.source import ReadCommitting, Reads
from pipeline.kafka.starting import Start
from tests.conftest import NewTopic
from tests.machine import spec_of
from tests.oracles import shop
from tests.oracles.shop import T
from tests.outcome import Row
from tests.pipeline.messages import Message, message, send
from transforms.coders import OBSERVATIONS

pytestmark = pytest.mark.kafka


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
    """A worker of the source, and where it stands between calls."""

    reads: Reads
    estimator: Estimator = field(default_factory=Estimator)

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
            rows += batch.to_pylist() if tag == OBSERVATIONS else []
        assert tracker.check_done()
        coder = ReadingCoder()
        self.reading = coder.decode(coder.encode(tracker.rest or tracker.reading))
        return rows, tracker, finalizer

    def until(self, count: int) -> list[Row]:
        """Calls until so many rows have come, and it has caught up."""
        rows: list[Row] = []
        deadline = time.monotonic() + 20
        while len(rows) < count:
            assert time.monotonic() < deadline
            rows += self.call()[0]
        return rows


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "SLICE_S", 0.6)
    monkeypatch.setattr(reader, "GATHER_S", 0.2)


def view(time: int, **values: Any) -> Row:
    return shop.at(time, **{"i": 1, "a": "VIEW", **values})


def items(rows: list[Row]) -> list[int]:
    return [row["item"] for row in rows]


@pytest.fixture
def live(kafka: Connection, new_topic: NewTopic) -> Iterator[Live]:
    topics = (new_topic(2), new_topic(1))
    sources = dict(zip(topics, shop.spec_of()["sources"].values(), strict=True))
    spec = spec_of(shop.spec_of(sources=sources))
    made = Live(Reads(spec, kafka, Start(), bounded=False, group=f"g-{topics[0]}"))
    yield made
    made.worker.teardown()


def topic_of(live: Live) -> str:
    return next(iter(live.reads.spec.sources))


def test_a_caught_up_reader_defers_by_whole_seconds_and_goes_on(
    kafka: Connection, live: Live
) -> None:
    topic = topic_of(live)
    send(kafka, topic, [message(view(n, i=n + 1), partition=n % 2) for n in range(4)])
    assert items(live.until(4)) == [1, 2, 3, 4]
    rows, tracker, _ = live.call()
    assert rows == []
    assert tracker.deferred == Duration(source.POLL_S)
    send(kafka, topic, [message(view(4, i=5))])
    assert items(live.until(1)) == [5]


def test_a_new_worker_goes_on_where_the_last_reading_stood(kafka: Connection, live: Live) -> None:
    topic = topic_of(live)
    send(kafka, topic, [message(view(n, i=n + 1), partition=n % 2) for n in range(500)])
    first = live.until(1)
    live.worker.teardown()
    live.start_worker()
    send(kafka, topic, [message(view(n, i=n + 1), partition=n % 2) for n in range(500, 600)])
    rest = live.until(600 - len(first))
    assert sorted(items(first) + items(rest)) == list(range(1, 601))


def test_s3_the_watermark_is_the_least_of_the_partitions_until_they_are_idle(
    kafka: Connection, live: Live
) -> None:
    topic = topic_of(live)
    now = int(time.time() * 1000) - T
    send(kafka, topic, [message(view(now)), message(view(now - 500), partition=1)])
    live.until(2)
    assert live.estimator.now is None  # the topic of erasures has said nothing yet
    erasures = [*live.reads.spec.sources][1]
    send(kafka, erasures, [message({"u": "v", "t": T + now - 900}, at=now)])
    live.until(1)
    assert live.estimator.now == Timestamp(micros=(T + now - 900) * 1000)


def test_s3_a_pause_in_an_old_log_makes_nobody_idle(
    kafka: Connection, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll that gives nothing tells of silence only where everything there has been read."""
    topic = topic_of(live)
    send(kafka, topic, [message(view(n * 1000, i=n + 1), partition=n % 2) for n in range(10)])
    behind = property(lambda _: False)
    with monkeypatch.context() as patch:
        patch.setattr(reader.Reader, "caught_up", behind)
        patch.setattr(source, "_now", lambda: int(time.time() * 1000) + 10**9)
        live.until(10)
        assert live.call()[0] == []
    assert live.estimator.now is None
    monkeypatch.setattr(source, "_now", lambda: int(time.time() * 1000) + 10**9)
    live.call()
    assert live.estimator.now == Timestamp(micros=(T + 9000) * 1000)


def test_offsets_are_committed_when_a_bundle_is_final(kafka: Connection, live: Live) -> None:
    from pipeline.kafka.starting import starting_offsets

    topic = topic_of(live)
    send(kafka, topic, [message(view(n), partition=n % 2) for n in range(6)])
    live.until(6)
    _, _, finalizer = live.call()
    for callback in finalizer.callbacks:
        callback()
    found = starting_offsets(kafka, [topic], lambda _: True, Start("committed"), live.reads.group)
    assert found == {f"{topic}/0": 3, f"{topic}/1": 3}


def test_new_partitions_are_found_and_read_from_their_beginning(
    kafka: Connection, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = topic_of(live)
    send(kafka, topic, [message(view(0, i=1))])
    live.until(1)
    client = admin(kafka)
    client.create_partitions({topic: 3})
    client.close()
    monkeypatch.setattr(source, "DISCOVER_S", 0.0)
    deadline = time.monotonic() + 20
    while f"{topic}/2" not in live.reading.offsets:
        live.call()
        assert time.monotonic() < deadline
    send(kafka, topic, [message(view(1, i=2), partition=2)])
    assert items(live.until(1)) == [2]


def test_a_drained_job_ends_an_unbounded_reader(live: Live) -> None:
    assert live.worker.truncate(0, live.reading) is None


def test_tombstones_come_live_too(kafka: Connection, live: Live) -> None:
    send(kafka, topic_of(live), [Message(None, 5, key=b"u")])
    (row,) = live.until(1)
    assert (row["user"], row["erase"]) == ("u", True)
