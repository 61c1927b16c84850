"""Messages of several partitions in one order, however they are polled."""

from itertools import accumulate
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from kafka_client.clients import Connection, KafkaUnavailable
from model.reader.merged import MergedLog
from model.reader.progress import Place
from schemas.failures import Failure
from tests.model.reader.support import FakeBroker, FakeClient, Message

WHERE = Connection("nowhere:9092", {}, "sequences")
LOGS = st.lists(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 3)), max_size=8), min_size=1, max_size=3
)
"""Of each partition: the timestamp of each message, and how far its offset is from the last."""


def broker_of(logs: list[list[tuple[int, int]]]) -> FakeBroker:
    messages = {}
    for partition, log in enumerate(logs):
        offsets = accumulate(gap for _, gap in log)
        messages[partition] = [
            Message(partition, offset, time, b"x" * time)
            for offset, (time, _) in zip(offsets, log, strict=True)
        ]
    return FakeBroker(messages)


def log_of(
    broker: FakeBroker, seed: int, places: dict[int, Place] | None = None, follows: bool = False
) -> MergedLog:
    client = FakeClient(broker, seed)
    at = {number: (places or {}).get(number, Place(0)) for number in broker.messages}
    client.assign([TopicPartition("sequences", number) for number in at])
    for number, place in at.items():
        client.seek(TopicPartition("sequences", number), place.offset)
    skip_lost = bool(broker.first)
    return MergedLog(client, WHERE, at, dict(broker.ends), follows, skip_lost)


Known = list[tuple[int, int, int]]
"""Clock, partition and offset of each message."""


def read(log: MergedLog) -> Known:
    return [(a.clock, a.message.partition, a.message.offset) for a in log if a is not None]


def oracle(broker: FakeBroker) -> Known:
    found: Known = []
    for partition, log in broker.messages.items():
        clock = -1
        for each in log:
            clock = max(clock, each.timestamp)
            found.append((clock, partition, each.offset))
    return sorted(found)


@given(LOGS, st.integers(0, 3), st.sampled_from([1, 30, 10**6]))
def test_a_log_that_has_ended_is_read_in_one_order(
    logs: list[list[tuple[int, int]]], seed: int, waiting: int
) -> None:
    broker = broker_of(logs)
    broker.ends = {p: end + 2 for p, end in broker.ends.items()}  # markers of transactions
    with patch("model.reader.merged.WAITING_BYTES", waiting):
        assert read(log_of(broker, seed)) == oracle(broker)


@given(LOGS, st.integers(0, 3), st.data())
def test_it_is_read_on_in_the_same_order(
    logs: list[list[tuple[int, int]]], seed: int, data: st.DataObject
) -> None:
    whole = oracle(broker_of(logs))
    stop = data.draw(st.integers(0, len(whole)))
    places = {part: Place(offset + 1, 0, clock) for clock, part, offset in whole[:stop]}
    assert read(log_of(broker_of(logs), seed, places)) == whole[stop:]


def test_more_than_the_end_is_not_read_unless_it_is_followed() -> None:
    broker = broker_of([[(5, 1), (6, 1)], [(1, 1)]])
    broker.later = [Message(1, 2, 2, b"x"), Message(0, 3, 9, b"x")]
    assert read(log_of(broker, 0)) == [(1, 1, 1), (5, 0, 1), (6, 0, 2)]


def test_what_comes_later_is_read_when_it_is_followed() -> None:
    broker = broker_of([[(5, 1), (6, 1)], [(1, 1)]])
    broker.later = [Message(1, 2, 2, b"x"), Message(0, 3, 9, b"x")]
    found: list[tuple[int, int]] = []
    silences = 0
    for arrived in log_of(broker, 0, follows=True):
        if arrived is None:
            silences += 1
            if len(found) == 5:
                break
            continue
        found.append((arrived.message.partition, arrived.message.offset))
    assert found[:3] == [(1, 1), (0, 1), (0, 2)]
    assert sorted(found[3:]) == [(0, 3), (1, 2)]
    assert silences < 200


def test_a_broker_that_gives_nothing_is_not_waited_for_for_ever() -> None:
    broker = broker_of([[(5, 1)], []])
    broker.ends[1] = 7
    times = iter(range(10_000))
    with (
        patch("model.reader.merged.time.monotonic", lambda: float(next(times))),
        patch.object(FakeClient, "position", lambda *_: 0),
        pytest.raises(KafkaUnavailable, match=r"nothing came for 60 s; .*7 offsets left in sequ"),
    ):
        read(log_of(broker, 0))


def test_offsets_that_are_gone_are_counted_once_where_that_is_allowed() -> None:
    broker = broker_of([[(5, 1), (6, 1), (7, 1)], [(6, 1)]])
    broker.first[0] = 3
    broker.messages[0] = broker.messages[0][2:]
    found = [arrived for arrived in log_of(broker, 0) if arrived is not None]
    assert [each.message.offset for each in found] == [1, 3]
    assert sum(each.lost for each in found) == 3


def test_offsets_that_are_gone_are_a_failure_otherwise() -> None:
    broker = broker_of([[(5, 1), (6, 1), (7, 1)]])
    log = log_of(broker, 0)
    broker.first[0] = 3
    with pytest.raises(Failure, match="partition 0: messages lost: 3;"):
        read(log)


def test_a_partition_that_becomes_shorter_is_a_failure() -> None:
    broker = broker_of([[(5, 1), (6, 1)]])
    log = log_of(broker, 0, follows=True)
    client = log._client
    shorter = {TopicPartition("sequences", 0): 1}
    times = iter(range(0, 100_000, 11))
    with (
        patch.object(client, "end_offsets", lambda *_, **__: shorter),
        patch("model.reader.merged.time.monotonic", lambda: float(next(times))),
        pytest.raises(KafkaUnavailable, match="sequences/0 has become shorter"),
    ):
        read(log)
