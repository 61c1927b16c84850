"""Topics of a real broker: what a run wrote, more than once, comes once; and on it goes."""

import threading
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from typing import Any

import pytest
from kafka import TopicPartition

from kafka_client.clients import Connection, KafkaUnavailable, admin, consumer, producer
from kafka_client.topics import create_topics, end_offsets
from model.batch import SequenceBatch
from model.reader.prefetch import prefetched
from model.reader.state import ReaderState
from model.reader.topic import SequenceTopic
from pipeline.sinks.messages import messages
from schemas.failures import Failure
from tests.conftest import NewTopic
from tests.model.reader.support import SPEC, Row, plain, rows, sequence, user_in

pytestmark = pytest.mark.kafka


def people(numbers: Sequence[int]) -> list[Row]:
    return [sequence(f"user-{n % 7}", n, 1 + n % 3, n % 4, end=n) for n in numbers]


def send(where: Connection, sequences: Sequence[Row], partitions: int, **settings: Any) -> None:
    """Sends sequences as a run does, a few to a message."""
    with closing(producer(where, **settings)) as client:
        if settings:
            client.init_transactions()
            client.begin_transaction()
        for start in range(0, len(sequences), 9):
            for each in messages(rows(sequences[start : start + 9]), partitions):
                client.send(
                    where.topic, value=each.value, headers=each.headers, partition=each.partition
                )
            client.flush(timeout=30)
        if settings:
            client.commit_transaction()


def erase(where: Connection, user: str, until: int, partition: int) -> None:
    with closing(producer(where)) as client:
        headers = [("phia-time", str(until).encode())]
        sent = client.send(
            where.topic, value=None, key=user.encode(), headers=headers, partition=partition
        )
        sent.get(timeout=10)


def read(where: Connection, **more: Any) -> list[SequenceBatch]:
    more = {"tokens": 40, "until_latest": True, **more}
    return [batch for batch in SequenceTopic(where, SPEC, **more) if batch is not None]


def names(batches: Sequence[SequenceBatch]) -> list[str]:
    return [name for batch in batches for name in batch.sequence_ids]


@pytest.fixture
def where(kafka: Connection, new_topic: NewTopic) -> Connection:
    """A topic of two partitions."""
    return Connection(kafka.bootstrap, kafka.security, new_topic(2))


def test_it_is_read_on_from_every_batch_and_each_sequence_comes_once(where: Connection) -> None:
    there = people(range(80))
    send(where, there, 2)
    erase(where, user_in(0, 2), there[0]["session_end"] + 40, 0)
    send(where, there, 2, transactional_id="again")
    whole = read(where)
    last = user_in(0, 2), there[0]["session_end"] + 40
    kept = [r for r in there if r["user_id"] != last[0] or r["session_end"] > last[1]]
    assert {row["sequence_id"] for row in kept} <= set(names(whole))
    assert len(names(whole)) == len(set(names(whole)))
    assert len(whole) > 4
    state = ReaderState()
    for number, batch in enumerate(whole):
        state.advance(batch.progress)
        rest = read(where, start=state)
        assert [*map(plain, rest)] == [*map(plain, whole[number + 1 :])]
    assert state.counts()["replays"] > 50


def test_lanes_share_the_partitions(where: Connection) -> None:
    send(where, people(range(40)), 2)
    lanes = [read(where, lane=lane, lanes=2) for lane in (0, 1)]
    assert sorted(names(lanes[0]) + names(lanes[1])) == sorted(names(read(where)))
    assert all(map(names, lanes))


def test_it_follows_what_comes_and_ends_when_it_is_closed(where: Connection) -> None:
    before = threading.active_count()
    ahead = prefetched(SequenceTopic(where, SPEC, tokens=1, patience=0.3))
    assert next(ahead) is None
    found: list[SequenceBatch] = []
    for number in range(3):
        send(where, people([3 * number, 3 * number + 1, 3 * number + 2]), 2)
        for _ in count():
            batch = next(ahead)
            found += [batch] if batch is not None else []
            if len(found) >= 3 * number + 2:  # one waits for the next to come
                break
    assert set(names(found)) <= {row["sequence_id"] for row in people(range(9))}
    ahead.close()
    assert threading.active_count() == before


def test_what_retention_has_deleted_is_told(where: Connection) -> None:
    user = user_in(0, 2)
    send(where, [sequence(user, n, 9) for n in range(90)], 2)
    state = ReaderState()
    whole = read(where)
    state.advance(whole[0].progress)
    place = TopicPartition(where.topic, 0)
    with closing(admin(where)) as client:
        client.delete_records({place: 5})
    with pytest.raises(Failure, match="partition 0: messages lost: 5;"):
        read(where, start=state)
    rest = read(where, start=state, skip_lost=True)
    for batch in rest:
        state.advance(batch.progress)
    assert state.counts()["lost"] == 5
    assert names(rest) == names(whole)[45:]


def test_a_topic_deleted_and_made_again_is_refused(where: Connection) -> None:
    send(where, people(range(40)), 2)
    state = ReaderState()
    for batch in read(where):
        state.advance(batch.progress)
    with closing(admin(where)) as client:
        client.delete_topics([where.topic])
    for _ in range(50):
        if create_topics(where, {str(where.topic): 2}):
            break
    with pytest.raises(Failure, match="it was deleted and made again"):
        read(where, start=state)


def test_offsets_show_in_the_group(where: Connection) -> None:
    send(where, people(range(40)), 2)
    topic = SequenceTopic(where, SPEC, tokens=1_000, until_latest=True, group="trainer")
    state = ReaderState()
    for batch in topic:
        assert batch is not None
        state.advance(batch.progress)
    with closing(topic):
        topic.commit(state)
        topic.commit(state)
    with closing(consumer(where, group_id="trainer")) as client:
        places = {p: TopicPartition(where.topic, p) for p in (0, 1)}
        committed = {p: client.committed(place, timeout_ms=9_000) for p, place in places.items()}
    assert committed == end_offsets(where, str(where.topic))


def test_a_topic_that_is_not_there_is_said(kafka: Connection) -> None:
    with pytest.raises(KafkaUnavailable, match=r"topic 'none' at .*: it does not exist"):
        read(Connection(kafka.bootstrap, kafka.security, "none"))
