"""The simulated platform on a real broker."""

import json
from itertools import islice
from typing import Any

import pytest

from kafka_client.clients import Connection, KafkaUnavailable, consumer
from kafka_client.topics import create_topics, end_offsets
from pipeline.simulate.fates import SOURCES
from pipeline.simulate.platform import START, Platform
from pipeline.simulate.producing import Sending, produce

SMALL = Platform(users=50, days=1, erasures=0.2, malformed=0.05)


def ends(connection: Connection) -> dict[tuple[str, int], int]:
    create_topics(connection, dict.fromkeys(SOURCES, 2))
    return {
        (name, partition): offset
        for name in SOURCES
        for partition, offset in end_offsets(connection, name).items()
    }


def read_from(connection: Connection, starts: dict[tuple[str, int], int]) -> list[Any]:
    """All messages that came after the offsets `starts`."""
    import kafka

    client = consumer(connection, consumer_timeout_ms=20_000)
    places = {kafka.TopicPartition(*place): offset for place, offset in starts.items()}
    client.assign(list(places))
    for place, offset in places.items():
        client.seek(place, offset)
    missing = sum(ends(connection).values()) - sum(starts.values())
    found = list(islice(client, missing))
    client.close()
    return found


@pytest.mark.kafka
def test_json_records_are_sent_once_with_their_arrival_as_timestamp(kafka: Connection) -> None:
    before = ends(kafka)
    told: list[tuple[int, float]] = []
    truth = produce(SMALL, kafka, Sending(), lambda count, done: told.append((count, done)))
    messages = read_from(kafka, before)
    for name in SOURCES:
        assert sum(message.topic == name for message in messages) == truth.fates[name].total()
    assert sum(message.value is None for message in messages) == truth.tombstones > 0
    assert all(message.key and message.timestamp >= START for message in messages)
    sound = [message for message in messages if message.topic == "sessions"]
    assert {message.partition for message in sound} == {0, 1}
    assert told == sorted(told)
    assert told[-1] == (truth.records(), 1.0)


@pytest.mark.kafka
def test_without_event_timestamps_there_are_no_tombstones(kafka: Connection) -> None:
    before = ends(kafka)
    truth = produce(SMALL, kafka, Sending(timestamps="now"))
    erased = [message for message in read_from(kafka, before) if message.topic == "erasures"]
    assert truth.tombstones == 0
    assert len(erased) == truth.fates["erasures"].total() > 0
    for message in erased:
        assert json.loads(message.value)["user_id"].encode() == message.key
        assert message.timestamp > START + 86_400_000


@pytest.mark.kafka
def test_arrow_messages_take_turns_with_the_partitions(kafka: Connection) -> None:
    before = ends(kafka)
    produce(SMALL, kafka, Sending(form="arrow"))
    batches = [message for message in read_from(kafka, before) if message.key is None]
    assert {message.topic for message in batches} >= {"views", "reactions", "profile", "sessions"}
    assert {message.partition for message in batches} == {0, 1}


def test_a_broker_that_is_not_there_is_one_line() -> None:
    with pytest.raises(KafkaUnavailable, match=r"^[^\n]*127\.0\.0\.1:1[^\n]*$"):
        produce(SMALL, Connection("127.0.0.1:1"), Sending())
