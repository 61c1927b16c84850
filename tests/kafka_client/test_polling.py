"""Partitions that are paused, and come back, of a real broker."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import TopicPartition

from kafka_client.clients import Connection, consumer
from kafka_client.polling import poll
from tests.conftest import NewTopic
from tests.pipeline.messages import Message, send

pytestmark = pytest.mark.kafka

LIMIT_S = 20.0
AT_ONCE = 50


@pytest.fixture
def client(kafka: Connection, new_topic: NewTopic) -> Iterator[Any]:
    """A client of a topic whose partition 0 has more than a poll gives, and partition 1 nothing."""
    topic = new_topic(2)
    send(kafka, topic, [Message(b"x", n) for n in range(4 * AT_ONCE)])
    with closing(consumer(kafka, max_poll_records=AT_ONCE)) as made:
        made.assign([TopicPartition(topic, 0), TopicPartition(topic, 1)])
        yield made


def until(client: Any, count: int, found: int = 0) -> None:
    deadline = time.monotonic() + LIMIT_S
    while found < count:
        assert time.monotonic() < deadline, f"{found} of {count} came"
        found += sum(map(len, poll(client, 100).values()))


def test_a_partition_comes_back_where_no_other_has_more(kafka: Connection, client: Any) -> None:
    """Fetched, and paused; another gives all; resumed: kafka-python alone would stand still."""
    long, short = sorted(client.assignment())
    until(client, AT_ONCE)
    client.pause(long)
    assert poll(client, 500) == {}
    send(kafka, short.topic, [Message(b"y", n, partition=1) for n in range(3)])
    until(client, 3)
    client.resume(long)
    until(client, 3 * AT_ONCE)


def test_what_is_sought_is_what_comes(client: Any) -> None:
    long, _ = sorted(client.assignment())
    until(client, AT_ONCE)
    client.pause(long)
    assert poll(client, 500) == {}
    client.seek(long, 2 * AT_ONCE)
    client.resume(long)
    until(client, 2 * AT_ONCE)
    assert poll(client, 300) == {}


def test_a_client_of_another_kind_is_polled_as_it_is() -> None:
    class Other:
        def poll(self, timeout_ms: int) -> dict[str, list[int]]:
            return {"asked": [timeout_ms]}

    assert poll(Other(), 7) == {"asked": [7]}
