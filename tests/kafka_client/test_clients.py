"""Connections to Kafka: addresses, security options, errors in bounded time, topics, offsets."""

import pickle
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.errors import MessageSizeTooLargeError

from kafka_client import clients, topics
from kafka_client.clients import Connection, KafkaUnavailable, admin, consumer, producer
from kafka_client.security import without_secrets
from tests.conftest import NewTopic

# A bootstrap takes 8 s at most; the rest is for a machine that is busy.
BOUND_S = 14.0
SASL = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_plain_username": "alice",
    "sasl_plain_password": "env:PHIA_TEST_PASSWORD",
}


@contextmanager
def bounded() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < BOUND_S


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "BOOTSTRAP_MS", 1000)


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address where connections are accepted and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("url", "bootstrap", "topic"),
    [
        ("kafka://h:1", "h:1", None),
        ("kafka://h:9092/", "h:9092", None),
        ("kafka://a.b:9092,c-d:9093/views.v1", "a.b:9092,c-d:9093", "views.v1"),
        ("kafka://[::1]:9092/t", "[::1]:9092", "t"),
    ],
)
def test_addresses(url: str, bootstrap: str, topic: str | None) -> None:
    connection = Connection.from_url(url)
    assert (connection.bootstrap, connection.topic) == (bootstrap, topic)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("h:9092", "is not a Kafka address"),
        ("http://h:9092", "is not a Kafka address"),
        ("kafka://", "is not HOST:PORT"),
        ("kafka://h", "'h' in"),
        ("kafka://h:0", "'h:0' in"),
        ("kafka://h:99999", "'h:99999' in"),
        ("kafka://h:9092,", "'' in"),
        ("kafka://h:9092/a/b", "cannot be a topic"),
        ("kafka://h:9092/..", "cannot be a topic"),
        ("kafka://u:secret@h:9092", "holds no user or password"),
        ("http://u:secret@h:9092", "is not a Kafka address"),
    ],
)
def test_wrong_addresses(url: str, part: str) -> None:
    with pytest.raises(ValueError, match=re.escape(part)) as raised:
        Connection.from_url(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"sasl_pasword": "x"}, "'sasl_pasword' is not a Kafka security option"),
        ({"security_protocol": "TLS"}, "security_protocol is 'TLS'"),
        ({**SASL, "security_protocol": "PLAINTEXT"}, "needs security_protocol SASL_PLAINTEXT"),
        ({"ssl_check_hostname": "false"}, "needs security_protocol SSL or SASL_SSL"),
        ({"security_protocol": "SSL", "ssl_cafile": "/none.pem"}, "there is no file /none.pem"),
        ({**SASL, "sasl_plain_password": "hunter2"}, "sasl_plain_password must say where the sec"),
        ({**SASL, "sasl_mechanism": "OAUTHBEARER"}, "sasl_mechanism is 'OAUTHBEARER'"),
        ({"security_protocol": "SSL", "ssl_check_hostname": "no"}, "should be true or false"),
        ({"security_protocol": "SASL_SSL"}, "sasl_mechanism is missing"),
        ({**SASL, "sasl_mechanism": "plain"}, "sasl_mechanism is 'plain'"),
        ({**SASL, "sasl_plain_username": ""}, "sasl_plain_username is missing"),
    ],
)
def test_wrong_security(options: Mapping[str, str], part: str) -> None:
    with pytest.raises(ValueError, match=re.escape(part)) as raised:
        Connection.from_url("kafka://h:1", options)
    assert "hunter2" not in str(raised.value)


def test_a_connection_shows_no_secret_and_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHIA_TEST_PASSWORD", "hunter2-secret")
    connection = Connection.from_url("kafka://h:1", SASL)
    assert "hunter2" not in repr(connection) + str(connection) + repr(connection.security)
    pickled = pickle.dumps(connection)
    assert b"hunter2" not in pickled
    assert pickle.loads(pickled) == connection  # noqa: S301 - as Beam ships it
    assert without_secrets("wrong: hunter2-secret", connection.security) == "wrong: ***"
    monkeypatch.delenv("PHIA_TEST_PASSWORD")
    assert without_secrets("wrong: hunter2-secret", connection.security) == "wrong: hunter2-secret"


def test_a_connection_takes_no_secret_in_clear() -> None:
    with pytest.raises(ValueError, match="sasl_plain_password must be given as a Secret") as raised:
        Connection("h:1", {"sasl_plain_password": "hunter2"})
    assert "hunter2" not in str(raised.value)


def test_a_secret_or_file_that_is_not_on_this_machine_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PHIA_TEST_PASSWORD", raising=False)
    connection = Connection.from_url("kafka://h:1", SASL)
    with pytest.raises(KafkaUnavailable) as raised:
        admin(connection)
    assert str(raised.value) == (
        "cannot connect to Kafka at h:1: sasl_plain_password: env:PHIA_TEST_PASSWORD: there is no "
        "such environment variable here"
    )
    authority = tmp_path / "ca.pem"
    authority.touch()
    monkeypatch.chdir(tmp_path)
    tls = Connection.from_url("kafka://h:1", {"security_protocol": "SSL", "ssl_cafile": "ca.pem"})
    assert tls.security["ssl_cafile"] == str(authority)  # a worker stands in another folder
    with pytest.raises(KafkaUnavailable, match="holds no certificate in PEM format"):
        admin(tls)
    authority.unlink()
    with pytest.raises(KafkaUnavailable, match=f"ssl_cafile: there is no file {authority} here"):
        admin(tls)


@pytest.mark.parametrize("connect", [consumer, producer, admin])
def test_nobody_there(connect: object, unused: str, impatient: None) -> None:
    assert callable(connect)
    threads = threading.active_count()
    with bounded(), pytest.raises(KafkaUnavailable) as raised:
        connect(Connection(unused))
    message = str(raised.value)
    assert message == (
        f"cannot connect to Kafka at {unused}: KafkaConnectionError: Connection refused"
    )
    assert threading.active_count() <= threads


def test_nobody_answers(deaf: str) -> None:
    with bounded(), pytest.raises(KafkaUnavailable, match=deaf):
        topics.partitions_of(Connection(deaf), "views")


def test_no_such_host(impatient: None) -> None:
    with bounded(), pytest.raises(KafkaUnavailable, match=r"no\.such\.host\.invalid:9092: .*"):
        admin(Connection("no.such.host.invalid:9092"))


@pytest.fixture
def unused() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_records_go_through(kafka: Connection, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    with closing(producer(kafka)) as out:
        for number in range(1000):
            out.send(topic, value=b"%d" % number, partition=number % 2, timestamp_ms=1000 + number)
        out.flush(timeout=30)
    assert topics.beginning_offsets(kafka, topic) == {0: 0, 1: 0}
    assert topics.end_offsets(kafka, topic) == {0: 500, 1: 500}
    assert topics.offsets_for_time(kafka, topic, 1501) == {0: 251, 1: 250}
    assert topics.offsets_for_time(kafka, topic, 1999) == {0: 500, 1: 499}
    assert sorted(read(kafka, topic, 1000)) == list(range(1000))


def test_a_message_of_900_kb_goes_through_and_a_larger_one_does_not(
    kafka: Connection, new_topic: NewTopic
) -> None:
    topic = new_topic()
    with closing(producer(kafka, compression=None)) as out:
        out.send(topic, value=bytes(900 * 1024)).get(timeout=30)
        with pytest.raises(MessageSizeTooLargeError):
            out.send(topic, value=bytes(1024 * 1024)).get(timeout=30)


def test_an_aborted_transaction_is_not_read(kafka: Connection, new_topic: NewTopic) -> None:
    topic = new_topic()
    with closing(producer(kafka, transactional_id=topic)) as out:
        out.init_transactions()
        for commit in (True, False, True):
            out.begin_transaction()
            out.send(topic, value=b"%d" % commit)
            out.flush(timeout=30)
            out.commit_transaction() if commit else out.abort_transaction()
    assert topics.end_offsets(kafka, topic) == {0: 6}
    assert read(kafka, topic, 2) == [1, 1]


def read(connection: Connection, topic: str, count: int) -> list[int]:
    """The numbers in the topic, up to its end offsets."""
    ends = topics.end_offsets(connection, topic)
    places = [TopicPartition(topic, partition) for partition in ends]
    numbers: list[int] = []
    deadline = time.monotonic() + 30
    with closing(consumer(connection)) as source:
        source.assign(places)
        while any(source.position(place) < ends[place.partition] for place in places):
            assert time.monotonic() < deadline
            for records in source.poll(timeout_ms=200).values():
                numbers += [int(record.value) for record in records]
    assert len(numbers) == count
    return numbers


def test_topics_are_created_once(kafka: Connection, new_topic: NewTopic) -> None:
    topic = new_topic(3)
    assert topics.create_topics(kafka, {topic: 1, topic + "-b": 2}) == (topic + "-b",)
    assert topics.partitions_of(kafka, topic) == (0, 1, 2)
    assert topics.partitions_of(kafka, topic + "-b") == (0, 1)


@pytest.mark.parametrize("topic", ["no-such-topic", "no such topic"])
def test_a_missing_topic_is_named(kafka: Connection, topic: str) -> None:
    for look in (topics.partitions_of, topics.end_offsets, topics.beginning_offsets):
        with (
            bounded(),
            pytest.raises(KafkaUnavailable, match=f"topic '{topic}' at {kafka.bootstrap}"),
        ):
            look(kafka, topic)


@pytest.mark.parametrize(
    ("name", "count", "settings", "part"),
    [
        ("a b", 1, {}, "'a b'.*invalid|'a b'.*illegal"),
        ("a", 0, {}, "'a'.*partitions"),
        ("a", 1, {"no.such": "1"}, "'a'.*no.such"),
    ],
)
def test_a_topic_that_cannot_be(
    kafka: Connection, name: str, count: int, settings: Mapping[str, str], part: str
) -> None:
    with bounded(), pytest.raises(KafkaUnavailable, match="(?i)cannot create topic " + part):
        topics.create_topics(kafka, {name: count}, settings)


def test_a_time_before_1970_is_refused(kafka: Connection, new_topic: NewTopic) -> None:
    with pytest.raises(ValueError, match="1970"):
        topics.offsets_for_time(kafka, new_topic(), -1)
