"""Records that Kafka deleted before they were read: passed over, and told (S3: no silent loss)."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition

from kafka_client.clients import Connection, KafkaUnavailable, admin, producer
from kafka_client.topics import create_topics
from pipeline.kafka import losses, reader, source
from pipeline.kafka.commits import Commits
from pipeline.kafka.losses import Lost
from pipeline.kafka.reader import Reader
from pipeline.kafka.reading import Reading
from pipeline.kafka.starting import Start, stopping_offsets
from tests.conftest import NewTopic
from tests.outcome import Row
from tests.pipeline.live import Live, items, live_of, topic_of, view
from tests.pipeline.messages import message, send
from tests.pipeline.running import run_in
from tests.pipeline.test_kafka_source import shop_of, url

pytestmark = pytest.mark.kafka


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "SLICE_S", 0.6)
    monkeypatch.setattr(reader, "GATHER_S", 0.2)
    monkeypatch.setattr(source, "DISCOVER_S", 0.5)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(losses, "count", lambda *counts: found.append(counts))
    return found


@pytest.fixture
def live(kafka: Connection, new_topic: NewTopic) -> Iterator[Live]:
    made = live_of(kafka, new_topic(2), new_topic(1))
    yield made
    made.worker.teardown()


def delete_before(kafka: Connection, topic: str, offset: int, partition: int = 0) -> None:
    with closing(admin(kafka)) as client:
        client.delete_records({TopicPartition(topic, partition): offset})


def views(count: int, first: int = 0) -> list[Any]:
    return [message(view(n, i=n + 1)) for n in range(first, first + count)]


def lost(live: Live) -> list[Row]:
    kept = ("source", "partition", "offset", "reason", "detail")
    return [{name: row[name] for name in kept} for row in live.beside["rejected"]]


def loss(topic: str, first: int, last: int, partition: int = 0) -> Row:
    detail = f"offsets {first} to {last} were deleted before they were read"
    return {
        "source": topic,
        "partition": partition,
        "offset": first,
        "reason": "lost",
        "detail": detail,
    }


@pytest.mark.parametrize("anew", [False, True])
def test_what_was_deleted_before_it_was_read_is_told_once(
    kafka: Connection, live: Live, counted: list[tuple[Any, ...]], anew: bool
) -> None:
    """Whether the reader lived on, or was made anew at an offset that is gone."""
    topic = topic_of(live)
    send(kafka, topic, views(10))
    assert items(live.until(10)) == [*range(1, 11)]
    if anew:
        live.worker.teardown()
        live.start_worker()
    send(kafka, topic, views(100, 10))
    delete_before(kafka, topic, 100)
    assert items(live.until(10)) == [*range(101, 111)]
    live.call()
    assert lost(live) == [loss(topic, 10, 99)]
    assert counted == [("rejected", 1, topic, "lost"), ("lost", 90, topic)]
    told = {(r["measure"], r["source"], r["key"], r["value"]) for r in live.beside["statistics"]}
    assert told >= {("rejected", topic, "lost", 1.0), ("lost", topic, None, 90.0)}
    live.worker.teardown()
    live.start_worker()
    send(kafka, topic, views(1, 200))
    assert items(live.until(1)) == [201]
    assert len(lost(live)) == 1


def test_a_loss_whose_claim_fails_is_told_by_the_next(kafka: Connection, live: Live) -> None:
    topic = topic_of(live)
    send(kafka, topic, views(20))
    delete_before(kafka, topic, 20)
    stopped, deadline = live.reading, time.monotonic() + 20
    own = live.worker._reader(0, stopped)
    while own.offsets == stopped.offsets:
        own.gather()
        assert time.monotonic() < deadline
    send(kafka, topic, views(1, 20))
    assert items(live.until(1)) == [21]
    assert lost(live) == [loss(topic, 0, 19)]


def test_other_partitions_go_on_and_all_that_was_fetched_is_given(
    kafka: Connection, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = topic_of(live)
    monkeypatch.setattr(reader, "POLL_MS", 20)
    ones = [message(view(n, i=n + 1), partition=1) for n in range(3_000)]
    send(kafka, topic, [*ones, *views(50, 5_000)])
    delete_before(kafka, topic, 30)
    found = items(live.until(3_020))
    assert sorted(found) == [*range(1, 3_001), *range(5_031, 5_051)]
    assert lost(live) == [loss(topic, 0, 29)]


def test_records_waiting_to_be_merged_go_before_the_gap_behind_them(
    kafka: Connection, new_topic: NewTopic
) -> None:
    """Offsets move past a gap only when what was read before it has been given."""
    e = new_topic(2)
    send(kafka, e, views(10))
    send(kafka, e, [message(view(5, i=99), partition=1)])
    live = Reader(kafka, Reading({f"{e}/0": 0, f"{e}/1": 0}))
    try:
        tp = TopicPartition(e, 0)
        live._merging.mark_ended({f"{e}/1": False})
        live._merging.add(f"{e}/0", views(3))
        delete_before(kafka, e, 10)
        live._pass_over(tp, 3)
        assert live.take_losses() == []
        live._merging.mark_ended(dict.fromkeys(live.offsets, True))
        assert len(live._merging.take()) == 3
        live._pass_over(tp, 3)
        assert live.take_losses() == [Lost(f"{e}/0", 3, 10)]
        assert live.take_losses() == []
    finally:
        live.close()


def test_a_bounded_run_passes_over_what_goes_while_it_lasts(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e, x = new_topic(), new_topic()
    stopping = stopping_offsets

    def then_less(*arguments: Any) -> Any:
        stops = stopping(*arguments)
        delete_before(kafka, e, 4)
        send(kafka, x, [message({"u": "v", "t": 1_700_000_000_000 + n}) for n in range(4)])
        delete_before(kafka, x, 4)
        return stops

    send(kafka, e, views(6))
    send(kafka, x, [message({"u": "v", "t": 1_700_000_000_000 + n}) for n in range(2)])
    monkeypatch.setattr(source, "stopping_offsets", then_less)
    ran = run_in(shop_of(e, x), url(kafka), tmp_path / "out")
    assert [row["new_contents"] for row in ran.sequences()] == [2]
    found = [(row["source"], row["offset"], row["detail"]) for row in ran.rejects()]
    details = [loss(e, 0, 3)["detail"], loss(x, 0, 1)["detail"]]
    assert sorted(found) == sorted([(e, 0, details[0]), (x, 0, details[1])])


def test_a_committed_offset_that_is_gone_is_a_loss(kafka: Connection, new_topic: NewTopic) -> None:
    e, x = new_topic(), new_topic()
    send(kafka, e, views(10))
    own = Commits(kafka, f"g-{e}")
    assert own.commit({f"{e}/0": 2})
    own.close()
    delete_before(kafka, e, 5)
    live = live_of(kafka, e, x, Start("committed"))
    assert items(live.until(5)) == [6, 7, 8, 9, 10]
    assert lost(live) == [loss(e, 2, 4)]
    live.worker.teardown()


def test_a_partition_that_is_added_is_read_from_offset_0_or_told(
    kafka: Connection, live: Live
) -> None:
    topic = topic_of(live)
    with closing(admin(kafka)) as client:
        client.create_partitions({topic: 4})
    send(kafka, topic, [message(view(n, i=n + 1), partition=2 + n % 2) for n in range(10)])
    delete_before(kafka, topic, 3, partition=2)
    assert sorted(items(live.until(7))) == [2, 4, 6, 7, 8, 9, 10]
    assert lost(live) == [loss(topic, 0, 2, partition=2)]


def test_markers_of_transactions_that_go_are_no_loss(kafka: Connection, live: Live) -> None:
    topic = topic_of(live)
    with closing(producer(kafka, transactional_id=topic)) as client:
        client.init_transactions()
        client.begin_transaction()
        client.send(topic, value=message(view(0)).value, partition=0)
        client.commit_transaction()
    live.until(1)
    live.call()
    delete_before(kafka, topic, 2)
    live.worker.teardown()
    live.start_worker()
    send(kafka, topic, views(1, 9))
    assert items(live.until(1)) == [10]
    assert lost(live) == []


def test_a_topic_made_anew_is_told_and_read_from_its_beginning(
    kafka: Connection, live: Live
) -> None:
    topic = topic_of(live)
    send(kafka, topic, views(10))
    live.until(10)
    remake(kafka, topic, 2)
    send(kafka, topic, views(3, 20))
    assert items(live.until(3)) == [21, 22, 23]
    (row,) = lost(live)
    assert (row["offset"], row["reason"]) == (10, "lost")
    assert row["detail"].startswith("the log ends at offset ")
    assert "was read up to 10: it was made anew" in row["detail"]


def remake(kafka: Connection, topic: str, partitions: int) -> None:
    with closing(admin(kafka)) as client:
        client.delete_topics([topic])
        deadline = time.monotonic() + 20
        while topic in client.list_topics():
            assert time.monotonic() < deadline
            time.sleep(0.1)
    create_topics(kafka, {topic: partitions})


def test_a_bounded_run_over_a_topic_made_anew_is_one_line(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    e = new_topic()
    send(kafka, e, views(3))
    stale = Reader(kafka, Reading({f"{e}/0": 8}, {f"{e}/0": 10}))
    try:
        with pytest.raises(KafkaUnavailable, match=r"/0 ends at offset 3 and was read up to 8"):
            stale.gather()
    finally:
        stale.close()
    with pytest.raises(KafkaUnavailable, match="ends at offset 3, before 8 where the group stands"):
        stopping_offsets(kafka, {f"{e}/0": 8}, [e])
