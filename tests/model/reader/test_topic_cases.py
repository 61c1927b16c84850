"""A topic of sequences, case by case: what is refused, lost, silent, erased or too long."""

from itertools import islice
from typing import Any

import pytest

from kafka_client.clients import Connection
from model.reader.state import ReaderState
from model.reader.topic import SequenceTopic
from schemas.failures import Failure, UsageError
from tests.model.reader.support import (
    HEADERS,
    SPEC,
    WINDOW,
    FakeBroker,
    message,
    names,
    read,
    sequence,
    served,
    tombstone,
    topic_of,
)


def one(**message_changes: Any) -> FakeBroker:
    there = message(0, 0, 0, [sequence("u", 1)])
    for name, value in message_changes.items():
        setattr(there, name, value)
    return FakeBroker({0: [there]})


REFUSED = [
    (one(headers=[]), "has no headers phia-spec and phia-schema; is it a sequence topic"),
    (one(headers=[("phia-spec", b"0"), HEADERS[1]]), "is of the spec with fingerprint 0; the one"),
    (one(headers=[HEADERS[0], ("phia-schema", b"2")]), "columns of version 2; version 1 is read"),
    (one(value=b"junk"), "not a whole Arrow IPC stream of 4 bytes"),
    (one(value=None), "a tombstone has a user for a key"),
    (one(value=None, key=b"u", headers=[("phia-time", b"x")]), "and a header phia-time in ms"),
]


@pytest.mark.parametrize(("broker", "says"), REFUSED)
def test_what_is_no_message_of_the_topic_is_refused(broker: FakeBroker, says: str) -> None:
    with served(broker), pytest.raises(Failure) as caught:
        read(topic_of(10))
    assert str(caught.value).startswith("topic 'sequences', partition 0, offset 0: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert broker.closed == 1


def some(count: int, first: int = 0) -> FakeBroker:
    """Messages of one sequence each, of three contents."""
    log = [message(0, n, n, [sequence("u", n, 3)]) for n in range(first, first + count)]
    return FakeBroker({0: log}, first={0: first})


def state_after(batches: int) -> ReaderState:
    state = ReaderState()
    with served(some(6)):
        for batch in islice(topic_of(6), batches):
            assert batch is not None
            state.advance(batch.progress)
    return state


def test_messages_that_retention_has_deleted_are_told_and_passed_over_only_if_allowed() -> None:
    start = state_after(2)
    with served(some(3, first=5)):
        with pytest.raises(Failure) as caught:
            read(topic_of(6, start))
        assert str(caught.value) == (
            "topic 'sequences', partition 0: messages lost: 3; it begins at offset 5, the saved "
            "one is 2; skip_lost goes on without them"
        )
        for batch in read(topic_of(6, start, skip_lost=True)):
            start.advance(batch.progress)
    assert start.counts()["lost"] == 3
    assert start.counts()["rows"] == 5
    assert start.offsets() == {0: 8}


def test_a_message_behind_lost_ones_is_read_whole_and_counts_them_once() -> None:
    log = [message(0, n, n, [sequence("u", 3 * n + k, 3) for k in range(3)]) for n in range(3)]
    state = ReaderState()
    with served(FakeBroker({0: log})):
        for batch in islice(topic_of(7), 2):  # a sequence each
            assert batch is not None
            state.advance(batch.progress)
    assert state.offsets() == {0: 0}
    with served(FakeBroker({0: log[2:]}, first={0: 2})):
        rest = read(topic_of(7, state, skip_lost=True))
    assert names(rest) == [sequence("u", n)["sequence_id"] for n in (6, 7, 8)]
    for batch in rest:
        state.advance(batch.progress)
    assert state.counts()["lost"] == 2


def test_what_is_past_the_window_is_forgotten() -> None:
    log = [message(0, n, n * 2 * WINDOW, [sequence("u", n, 3)]) for n in range(5)]
    log.insert(2, tombstone(0, 9, 2 * 2 * WINDOW - 1, "v", 0))
    for offset, each in enumerate(log):
        each.offset = offset
    state = ReaderState()
    with served(FakeBroker({0: log})):
        for batch in read(topic_of(7)):
            state.advance(batch.progress)
    lane = state.lane(0, 1)
    assert len(lane.window) == 1
    assert lane.erased == {}


def test_what_is_lost_of_a_partition_that_no_batch_has_come_from_is_told_too() -> None:
    broker = some(6)
    broker.messages[1] = [message(1, 0, 99, [sequence("v", 1)])]
    broker.ends[1] = 1
    state = ReaderState()
    with served(broker):
        first = next(iter(topic_of(6)))
        assert first is not None
        state.advance(first.progress)
    assert state.offsets() == {0: 1, 1: 0}
    broker.first[1] = 1
    with served(broker), pytest.raises(Failure, match="partition 1: messages lost: 1;"):
        read(topic_of(6, state))


def test_a_topic_made_again_is_refused() -> None:
    with served(some(1)), pytest.raises(UsageError, match="ends at offset 1, before the saved 2"):
        read(topic_of(6, state_after(2)))


def test_another_number_of_partitions_is_refused() -> None:
    broker = some(6)
    broker.messages[1], broker.ends[1] = [], 0
    with served(broker), pytest.raises(UsageError, match="has 2 partitions; the saved state is o"):
        read(topic_of(6, state_after(2)))


def test_a_silent_topic_gives_none_so_that_its_reader_is_not_held() -> None:
    broker = some(2)
    broker.later = [message(0, 2, 2, [sequence("u", 2, 3)])]
    with served(broker):
        topic = topic_of(6, until_latest=False, patience=0.0)
        found = [None if batch is None else batch.sequences for batch in islice(topic, 20)]
    assert found.count(1) == 2  # the third waits for one that it has no room for
    assert found[-1] is None


def test_its_reader_is_not_held_either_where_all_that_comes_is_left_out() -> None:
    broker = some(1)
    broker.later = [message(0, n, n, [sequence("u", 0, 3)]) for n in range(1, 99)]
    with served(broker):
        topic = topic_of(6, until_latest=False, patience=0.0)
        assert [*islice(topic, 20)] == [None] * 20


def test_a_lane_without_partitions_is_empty() -> None:
    with served(some(3)):
        assert read(topic_of(6, lane=1, lanes=2)) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"lane": 2, "lanes": 2}, "lane 2 of 2: it must be 0 to 1"),
        ({"budget": 0}, "tokens of a batch must be at least 1; it is 0"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(options: dict[str, Any], says: str) -> None:
    with served(some(1)), pytest.raises(UsageError, match=says):
        read(topic_of(**{"budget": 6, **options}))


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("kafka://h:1", "which topic? kafka://HOST:PORT/TOPIC"),
        (Connection("h:1"), "which topic? kafka://HOST:PORT/TOPIC"),
        ("http://h:1/t", "is not a Kafka address"),
    ],
)
def test_an_address_without_a_topic_is_refused(where: Connection | str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        SequenceTopic(where, SPEC, tokens=1)
    assert says in str(caught.value)


def test_offsets_are_committed_for_a_group_that_is_named() -> None:
    state = state_after(3)
    with served(some(6)) as client:
        topic = topic_of(6, group="g")
        topic.commit(state)
        topic.close()
        assert client.committed == {0: 3}
        with pytest.raises(UsageError, match="commit needs a group"):
            topic_of(6).commit(state)


def test_an_erasure_leaves_nothing_of_the_user() -> None:
    rows = [sequence("u", 1, 1, end=5), sequence("v", 2, 1, end=1), sequence("u", 3, 1, end=9)]
    log = [message(0, 0, 0, rows), tombstone(0, 1, 1, "u", 5), message(0, 2, 2, [*rows, rows[0]])]
    state = ReaderState()
    with served(FakeBroker({0: log})):
        (batch,) = read(topic_of(100))
    assert batch.users == ("v", "u")
    state.advance(batch.progress)
    assert state.counts() == {"rows": 7, "void": 3, "replays": 2, "left_out": 0, "lost": 0}
    assert len(state.lane(0, 1).window) == 2
    text = str([state.to_json(), state.to_tensors()])
    assert rows[0]["sequence_id"] not in text


def test_a_longer_sequence_than_the_budget_has_a_batch_of_its_own() -> None:
    lengths = [1, 9, 1, 1]
    log = [message(0, 0, 0, [sequence("u", n, length) for n, length in enumerate(lengths)])]
    with served(FakeBroker({0: log})):
        assert [batch.tokens for batch in read(topic_of(4))] == [2, 18, 4]
