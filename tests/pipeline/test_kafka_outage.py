"""The unbounded source while the cluster, the group or the job itself is away (S3, S12)."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from apache_beam.utils.timestamp import Timestamp
from kafka import TopicPartition

from kafka_client import clients
from kafka_client.clients import Connection, KafkaUnavailable, admin, producer
from kafka_client.topics import create_topics
from pipeline.broker import Broker
from pipeline.kafka import contact, reader, source
from pipeline.kafka.contact import Contact
from pipeline.kafka.reader import Reader
from pipeline.kafka.reading import Reading
from pipeline.kafka.source import PAUSE
from pipeline.kafka.starting import Start, starting_offsets
from tests.conftest import NewTopic
from tests.oracles.shop import T
from tests.pipeline.live import Live, items, live_of, view
from tests.pipeline.messages import message, send

pytestmark = pytest.mark.kafka
BOUND_S = 30.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "SLICE_S", 0.6)
    monkeypatch.setattr(reader, "GATHER_S", 0.2)
    monkeypatch.setattr(contact, "ASK_MS", 500)
    monkeypatch.setattr(clients, "BOOTSTRAP_MS", 1000)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that tests may kill; each leaves it running."""
    kept = {"log.retention.ms": "-1"}
    with Broker(tmp_path_factory.mktemp("mortal"), properties=kept) as broker:
        yield broker


def at_ms(at: int) -> Timestamp:
    return Timestamp(micros=(T + at) * 1000)


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not done():
        assert time.monotonic() < deadline


def gathered(live: Reader, so_far: list[Any]) -> list[Any]:
    so_far += live.gather()
    return so_far


def heard_live(kafka: Connection, name: str, idle: str) -> tuple[Live, str]:
    """A source that has read a record of each partition: event time 1000 of e/0, 500 of the
    others; so its watermark is at 500."""
    create_topics(kafka, {f"{name}-e": 2, f"{name}-x": 1})
    live = live_of(kafka, f"{name}-e", f"{name}-x", watermark={"skew": "1h", "idle": idle})
    send(kafka, f"{name}-e", [message(view(1000), at=1000)])
    send(kafka, f"{name}-e", [message(view(500), at=1000, partition=1)])
    send(kafka, f"{name}-x", [message({"u": "v", "t": T + 500}, at=1000)])
    live.until(3)
    assert live.says(at_ms(500))
    return live, f"{name}-e"


def test_an_outage_is_waited_out_and_makes_nobody_idle(mortal: Broker) -> None:
    kafka = Connection(mortal.bootstrap)
    live, topic = heard_live(kafka, "away", "3s")
    mortal.kill()
    gone = time.monotonic()
    while time.monotonic() - gone < 5:
        rows, tracker, finalizer = live.call()
        assert (rows, tracker.deferred) == ([], PAUSE)
    for callback in finalizer.callbacks:
        callback()  # a commit that fails fails nothing
    mortal.start()
    live.call()
    assert live.says(at_ms(500))
    late = [message(view(600 + n, i=n + 1), at=7000, partition=1) for n in range(1_000)]
    send(kafka, topic, [message(view(90_000, i=5000), at=7000), *late])
    assert sorted(items(live.until(1_001))) == [*range(1, 1_001), 5000]
    assert live.beside["late"] == []
    until(lambda: live.call() is not None and live.says(at_ms(90_000)))
    live.worker.teardown()


def test_silence_is_counted_in_contact_alone(
    mortal: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that stood still finds nothing for the time in which it did not look."""
    monkeypatch.setattr(contact, "LOOK_S", 0.5)
    live, _ = heard_live(Connection(mortal.bootstrap), "still", "2s")
    time.sleep(3)
    for _ in range(2):
        live.call()
    assert live.says(at_ms(500))
    until(lambda: live.call() is not None and live.says(at_ms(1000)))
    live.worker.teardown()


def test_a_long_outage_is_one_line(mortal: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact, "AWAY_S", 2.0)
    live, _ = heard_live(Connection(mortal.bootstrap), "long", "3s")
    mortal.kill()
    started = time.monotonic()
    try:
        with pytest.raises(KafkaUnavailable, match="nothing was heard for 2 s at 127") as raised:
            until(lambda: live.call() is None)
    finally:
        mortal.start()
    assert "\n" not in str(raised.value)
    assert 2 < time.monotonic() - started < 15
    live.worker.teardown()


def test_nothing_is_lost_or_doubled_over_outages_and_new_workers(mortal: Broker) -> None:
    kafka = Connection(mortal.bootstrap)
    create_topics(kafka, {"twice-e": 2, "twice-x": 1})
    live, found = live_of(kafka, "twice-e", "twice-x"), list[int]()
    for part in range(3):
        ids = range(part * 500, part * 500 + 500)
        send(kafka, "twice-e", [message(view(n, i=n + 1), partition=n % 2) for n in ids])
        found += items(live.call()[0])
        mortal.kill()
        live.call()
        if part == 1:
            live.worker.teardown()
        mortal.start()
        if part == 1:
            live.start_worker()
    found += items(live.until(1500 - len(found)))
    assert sorted(found) == [*range(1, 1501)]
    live.worker.teardown()


def test_partitions_are_not_sought_for_while_the_cluster_is_away(
    mortal: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, _ = heard_live(Connection(mortal.bootstrap), "sought", "3s")
    monkeypatch.setattr(source, "DISCOVER_S", 0.0)
    mortal.kill()
    try:
        assert live.call()[0] == []
    finally:
        mortal.start()
    live.worker.teardown()


def test_a_poll_that_gives_nothing_releases_nothing_that_others_may_precede(
    kafka: Connection, new_topic: NewTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow cluster may answer for one partition and not yet for another."""
    e = new_topic(2)
    for partition in range(2):
        send(kafka, e, [message(view(n), at=n, partition=partition) for n in range(10)])
    live = Reader(kafka, Reading({f"{e}/0": 0, f"{e}/1": 0}))
    poll = live._consumer.poll
    try:
        live._hold_back([f"{e}/1"])
        monkeypatch.setattr(live, "_hold_back", lambda _: None)
        until(lambda: bool(live._poll()))
        monkeypatch.setattr(live._consumer, "poll", lambda **_: {})
        assert len(live.gather()) == 0
        assert len(live._merging) == 10
        assert live.silence == 0
        assert not live.caught_up
        monkeypatch.setattr(live._consumer, "poll", poll)
        live._consumer.resume(TopicPartition(e, 1))
        got: list[Any] = []
        until(lambda: len(gathered(live, got)) == 20)
        assert [record.offset for _, record in got] == [n // 2 for n in range(20)]
        until(lambda: live.gather() is not None and live.caught_up)
    finally:
        live.close()


def test_an_open_transaction_holds_up_nobody(kafka: Connection, new_topic: NewTopic) -> None:
    """Its records are no records yet: the other partition's go on, and silence is counted."""
    e = new_topic(2)
    with closing(producer(kafka, transactional_id=e)) as client:
        client.init_transactions()
        client.begin_transaction()
        client.send(e, value=message(view(0)).value, partition=1)
        client.flush(timeout=30)
        send(kafka, e, [message(view(n), at=n) for n in range(10)])
        live = Reader(kafka, Reading({f"{e}/0": 0, f"{e}/1": 0}))
        try:
            got: list[Any] = []
            until(lambda: len(gathered(live, got)) == 10)
            until(lambda: live.gather() is not None and live.caught_up)
            client.commit_transaction()
            until(lambda: len(gathered(live, got)) == 11)
        finally:
            live.close()


def test_silence_is_the_time_between_looks_that_found_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    look = Contact(Connection("x"), None)
    told = []
    for passed, caught_up in [(0, True), (1, True), (2, True), (3, False), (4, True), (5, True)]:
        now = 100.0 + passed
        told.append(look.silence(caught_up))
    now += 60
    told.append(look.silence(True))
    now += 0.25
    look.heard()
    now += 0.25
    told.append(look.silence(True))
    assert told == [0, 1000, 1000, 0, 0, 1000, 5000, 250]


def test_the_groups_offsets_may_go_while_the_source_lives(
    kafka: Connection, new_topic: NewTopic
) -> None:
    e = new_topic()
    live = live_of(kafka, e, new_topic())
    send(kafka, e, [message(view(n, i=n + 1)) for n in range(3)])
    live.until(3)
    commit_all(live)
    with closing(admin(kafka)) as client:
        client.delete_groups([str(live.reads.group)])
    assert committed(kafka, live, e) == {f"{e}/0": 0}
    send(kafka, e, [message(view(n, i=n + 1)) for n in range(3, 5)])
    assert items(live.until(2)) == [4, 5]
    commit_all(live)
    assert committed(kafka, live, e) == {f"{e}/0": 5}
    live.worker.teardown()


def commit_all(live: Live) -> None:
    for callback in live.call()[2].callbacks:
        assert callback()


def committed(kafka: Connection, live: Live, topic: str) -> dict[str, int]:
    return starting_offsets(kafka, [topic], lambda _: True, Start("committed"), live.reads.group)


def test_a_commit_that_is_refused_is_logged_and_no_error(
    kafka: Connection, new_topic: NewTopic, caplog: pytest.LogCaptureFixture
) -> None:
    """As where somebody else is a member of the group."""
    e = new_topic()
    live = live_of(kafka, e, new_topic())
    with closing(clients.consumer(kafka, group_id=live.reads.group)) as other:
        other.subscribe([e])
        until(lambda: other.poll(timeout_ms=200) is not None and bool(other.assignment()))
        (callback,) = live.call()[2].callbacks
        assert callback() is False
    assert "cannot commit for group" in caplog.text
    live.worker.teardown()


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_poison_goes_through_the_source_as_rejects(
    kafka: Connection, new_topic: NewTopic, form: str
) -> None:
    e, x = new_topic(), new_topic()
    poison: list[dict[str, Any]] = [
        {"value": b"\xff\xfe{"},
        {"value": b""},
        {"value": b"[" * 100_000},
        {"value": b"{" + b" " * 900_000 + b"}", "key": b"\x00" * 1000},
        {"value": b"null", "headers": [("", b""), ("\u00fc" * 200, b"\xff" * 1000), ("", b"2")]},
        {"value": message(view(0, u=None)).value},
    ]
    with closing(producer(kafka, compression=None)) as client:
        for each in poison:
            client.send(e, partition=0, timestamp_ms=T, **each)
        client.flush(timeout=30)
    live = live_of(kafka, e, x)
    live.reads.spec.sources[e].__dict__["format"] = form
    send(kafka, x, [message({"u": "v", "t": T + 1})])
    live.until(1)
    until(lambda: live.call() is not None and live.reading.offsets[f"{e}/0"] == 6)
    assert {row["offset"] for row in live.beside["rejected"]} >= {0, 2, 4, 5}
    live.worker.teardown()


def test_a_run_that_begins_while_the_cluster_is_away_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(KafkaUnavailable, match="Connection refused"):
        live_of(Connection("127.0.0.1:1"), "e", "x")
