"""`phia run` through the locked doors of a real broker, and the one line where a key is wrong."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kafka_client import clients
from kafka_client.clients import Connection, KafkaUnavailable, admin
from kafka_client.topics import end_offsets
from model.reader.topic import SequenceTopic
from tests.machine import spec_of
from tests.oracles import shop
from tests.pipeline.messages import message, send
from tests.pipeline.running import Ran, Written, run_in
from tests.secured import KEY_WORD, PASSWORDS, Access, Secured

pytestmark = pytest.mark.kafka

ENTRANCES = [
    ("TLS", None, None),
    ("MUTUAL", None, "CN=client"),
    ("LOGIN", "alice", "alice"),
    ("LOGIN", "bob", "bob"),
    ("LOGIN", "carol", "carol"),
    ("TLSLOGIN", "alice", "alice"),
    ("TLSLOGIN", "bob", "bob"),
    ("TLSLOGIN", "carol", "carol"),
]
"""A door, the user who comes in by it, and as whom the broker knows him: None has all rights."""


def filled(secured: Secured) -> Written:
    """A spec of two new topics, of which one holds two visits."""
    names = {"e": secured.topic(2), "x": secured.topic()}
    spec = shop.spec_of()
    spec["sources"] = {names[name]: each for name, each in spec["sources"].items()}
    views = [shop.at(time, i=n, a="VIEW") for n, time in enumerate((0, 10 * 3_600_000))]
    send(secured.open, names["e"], [message(view) for view in views])
    return spec


def needed(spec: Written, output: str) -> list[Access]:
    """The ACLs that a run needs, and no more."""
    reads: list[Access] = [("READ", "TOPIC", topic) for topic in spec["sources"]]
    return [*reads, ("WRITE", "TOPIC", output)]


@contextmanager
def let_in(secured: Secured, principal: str | None, accesses: list[Access]) -> Iterator[None]:
    if principal is None:
        yield
        return
    with secured.allowed(principal, accesses):
        yield


@pytest.mark.parametrize(("door", "user", "principal"), ENTRANCES)
def test_a_run_reads_and_writes_and_a_trainer_reads_with_the_least_rights(
    secured: Secured, tmp_path: Path, door: str, user: str | None, principal: str | None
) -> None:
    spec, output = filled(secured), secured.topic(2)
    url, security = secured.url(door), secured.options(door, user)
    with let_in(secured, principal, needed(spec, output)):
        ran = run_in(spec, url, tmp_path / "out", also=[f"{url}/{output}"], security=security)
    assert len(ran.sequences()) == 2
    assert sum(end_offsets(secured.open, output).values()) > 0
    connection = Connection.from_url(f"{url}/{output}", security)
    with let_in(secured, principal, [("READ", "TOPIC", output)]):
        topic = SequenceTopic(connection, spec_of(spec), tokens=100, until_latest=True)
        assert sum(len(batch.sequence_ids) if batch else 0 for batch in topic) == 2


def phia(spec: Written, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`phia run` in a process of its own, from a spec to folder/out."""
    file = folder / "spec.yaml"
    file.write_text(json.dumps(spec))
    command = [sys.executable, "-m", "pipeline.cli", "run", str(file), "--until", "latest"]
    command += ["--output", str(folder / "out"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_a_process_takes_its_secrets_from_a_file_of_options(
    secured: Secured, tmp_path: Path
) -> None:
    spec = filled(secured)
    options = {**secured.options("TLSLOGIN", "carol"), "sasl_plain_password": PASSWORDS["carol"]}
    file = tmp_path / "kafka.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in options.items()))
    words = ["--input", secured.url("TLSLOGIN"), "--kafka-file", str(file)]
    with secured.allowed("carol", needed(spec, secured.topic())):
        ran = phia(spec, tmp_path, *words)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(Ran(tmp_path / "out").sequences()) == 2
    file.write_text(file.read_text().replace(PASSWORDS["carol"], "wrong-word-31"))
    ran = phia(spec, tmp_path, *words, "--replace")
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert "the broker refuses the user or password: check sasl_plain_username" in line
    assert "wrong-word-31" not in line


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "BOOTSTRAP_MS", 4000)


NO_CERTIFICATE = "the broker refuses the client's certificate, or misses one: check ssl_certfile"
NO_TLS = "there is no TLS at this port, or none as here: check security_protocol"
WRONG_WORD = "the broker refuses the user or password: check sasl_plain_username, sasl_plain_passw"
HUNG_UP = "the broker hangs up, as where TLS is expected: check security_protocol"
ASKS = "the broker asks for a user at this port: check security_protocol"
WRONG: list[tuple[str, str, str | None, dict[str, str], tuple[str, ...]]] = [
    ("LOGIN", "LOGIN", "alice", {"sasl_plain_password": "file:wrong"}, (WRONG_WORD,)),
    ("TLSLOGIN", "TLSLOGIN", "carol", {"sasl_plain_password": "file:wrong"}, (WRONG_WORD,)),
    ("LOGIN", "LOGIN", "bob", {"sasl_mechanism": "SCRAM-SHA-512"}, (WRONG_WORD,)),
    ("TLS", "TLS", None, {"ssl_cafile": "other-ca.pem"}, ("not of an authority in ssl_cafile",)),
    ("MUTUAL", "TLS", None, {}, (NO_CERTIFICATE,)),
    (
        *("MUTUAL", "MUTUAL", None),
        {"ssl_certfile": "other-ca.pem", "ssl_keyfile": "other-ca.key"},
        (NO_CERTIFICATE,),
    ),
    ("TLS", "", None, {}, (HUNG_UP, "speaks TLS at this port: check security_protocol")),
    ("LOGIN", "", None, {}, (ASKS,)),
    ("LOGIN", "TLS", None, {}, (NO_TLS,)),
    ("", "TLS", None, {}, (NO_TLS,)),
    ("", "LOGIN", "alice", {}, ("the broker asks for no user at this port: check security_pr",)),
    ("TLSLOGIN", "TLS", None, {}, (ASKS,)),
]  # fmt: skip
"""A door, the key used: that of a door and a user, with changes; what one of the lines holds."""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("door", "key", "user", "changes", "parts"), WRONG)
def test_a_wrong_key_is_one_line_that_says_what_to_check(
    secured: Secured,
    tmp_path: Path,
    door: str,
    key: str,
    user: str | None,
    changes: dict[str, str],
    parts: tuple[str, ...],
) -> None:
    (secured.folder / "wrong").write_text("wrong-word-31")
    options = secured.options(key, user) if key else {}
    for name, value in changes.items():
        kind, colon, file = value.rpartition(":")
        there = (secured.folder / file).exists()
        options[name] = f"{kind}{colon}{secured.folder / file}" if there else value
    where = secured.url(door) if door else f"kafka://{secured.open.bootstrap}"
    spec = {**shop.spec_of()}
    with pytest.raises(KafkaUnavailable) as raised:
        run_in(spec, where, tmp_path / "out", security=options)
    line = str(raised.value)
    assert line.startswith(f"cannot connect to Kafka at {where.removeprefix('kafka://')}: ")
    assert any(part in line for part in parts), line
    assert "\n" not in line
    assert "wrong-word-31" not in line


def test_a_locked_key_opens_with_its_password_and_asks_nobody(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = {"ssl_keyfile": str(secured.folder / "client-locked.key")}
    monkeypatch.setenv("PHIA_KEY_WORD", KEY_WORD)
    admin(secured.connection("MUTUAL", **locked, ssl_password="env:PHIA_KEY_WORD")).close()  # noqa: S106
    monkeypatch.setenv("PHIA_KEY_WORD", "wrong-word-31")
    for more in ({}, {"ssl_password": "env:PHIA_KEY_WORD"}):
        with pytest.raises(KafkaUnavailable, match="with the right ssl_password") as raised:
            admin(secured.connection("MUTUAL", **locked, **more))
        assert "wrong-word-31" not in str(raised.value)


def test_ciphers_are_heeded(secured: Secured) -> None:
    with pytest.raises(KafkaUnavailable, match="OpenSSL knows none of 'no-such'"):
        admin(secured.connection("TLS", ssl_ciphers="no-such"))
    admin(secured.connection("TLS", ssl_ciphers="ECDHE+AESGCM")).close()


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_no_log_at_any_level_holds_the_password(
    secured: Secured, caplog: pytest.LogCaptureFixture, user: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("kafka", "kafka.net", "kafka.protocol"):
        caplog.set_level(logging.DEBUG, logger=name)
    with closing(admin(secured.connection("LOGIN", user))) as client:
        client.describe_cluster()
    assert any(record.name.startswith("kafka.") and record.levelno == logging.DEBUG
               for record in caplog.records)  # fmt: skip
    said = caplog.text + "".join(repr(record.args) for record in caplog.records)
    assert PASSWORDS[user] not in said
