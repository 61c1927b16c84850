"""The unbounded source by hand: what it claims, reports and leaves for its next call (S3, S12)."""

import time
from collections.abc import Iterator

import pytest
from apache_beam.utils.timestamp import Timestamp

from kafka_client.clients import Connection, admin
from pipeline.kafka import reader, source
from pipeline.kafka.source import PAUSE
from pipeline.kafka.starting import Start
from tests.conftest import NewTopic
from tests.oracles.shop import T
from tests.pipeline.live import Live, items, live_of, topic_of, view
from tests.pipeline.messages import Message, message, send

pytestmark = pytest.mark.kafka


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "SLICE_S", 0.6)
    monkeypatch.setattr(reader, "GATHER_S", 0.2)


@pytest.fixture
def live(kafka: Connection, new_topic: NewTopic) -> Iterator[Live]:
    made = live_of(kafka, new_topic(2), new_topic(1))
    yield made
    made.worker.teardown()


def test_a_caught_up_reader_hands_back_and_goes_on(kafka: Connection, live: Live) -> None:
    topic = topic_of(live)
    send(kafka, topic, [message(view(n, i=n + 1), partition=n % 2) for n in range(4)])
    assert items(live.until(4)) == [1, 2, 3, 4]
    rows, tracker, _ = live.call()
    assert rows == []
    assert tracker.deferred == PAUSE
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
    assert live.says(Timestamp(micros=(T + now - 900) * 1000))
    for _ in range(3):
        live.call()  # nothing comes
    assert live.estimator.now == Timestamp(micros=(T + now - 900) * 1000)


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
