"""What the broker's authorizer denies: one line that names who, what, and the ACL that is missing.

That the ACLs of the documents are enough is held by test_security_doors.py, which has no others.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition

from kafka_client.clients import (
    Connection,
    KafkaUnavailable,
    admin,
    consumer,
    explained,
    producer,
)
from kafka_client.groups import check_may_commit
from kafka_client.topics import create_topics
from model.reader.state import ReaderState
from model.reader.topic import SequenceTopic
from pipeline import run as running
from pipeline.kafka.commits import Commits
from pipeline.kafka.starting import Start, starting_offsets
from pipeline.run import RunFailed
from tests.machine import spec_of
from tests.pipeline.running import Written, run_in
from tests.pipeline.test_security_doors import filled, needed
from tests.secured import Access, Secured

pytestmark = pytest.mark.kafka

GROUP = "lag-of-bob"


@pytest.fixture
def bob(secured: Secured) -> Connection:
    return secured.connection("LOGIN", "bob")


@pytest.fixture
def shop(secured: Secured) -> tuple[Written, str]:
    """A spec with records in its topics, and an output topic."""
    return filled(secured), secured.topic()


def run_as(
    secured: Secured, user: str, shop: tuple[Written, str], out: Path, **more: Any
) -> dict[str, int]:
    url, (spec, output) = secured.url("LOGIN"), shop
    security = secured.options("LOGIN", user)
    return run_in(spec, url, out, also=[f"{url}/{output}"], security=security, **more).counts


def without(accesses: Sequence[Access], name: str, instead: str | None) -> list[Access]:
    """The ACLs but for those on a topic, which has another, or none."""
    kept = [access for access in accesses if access[2] != name]
    return [*kept, ("DESCRIBE", "TOPIC", name)] if instead == "DESCRIBE" else kept


@pytest.mark.parametrize("instead", [None, "DESCRIBE"])
@pytest.mark.parametrize("side", ["input", "output"])
def test_a_topic_that_is_denied_is_named_with_its_acl_before_anything_is_read(
    secured: Secured, shop: tuple[Written, str], tmp_path: Path, side: str, instead: str | None
) -> None:
    spec, output = shop
    denied, acl = (next(iter(spec["sources"])), "Read") if side == "input" else (output, "Write")
    with (
        secured.allowed("bob", without(needed(*shop), denied, instead)),
        pytest.raises(KafkaUnavailable) as raised,
    ):
        run_as(secured, "bob", shop, tmp_path / "out")
    assert str(raised.value) == (
        f"cannot look up topic '{denied}' at 127.0.0.1:{secured.ports['LOGIN']}: User:bob is "
        f'refused: it needs the ACL {acl} on topic "{denied}"'
    )
    assert not (tmp_path / "out" / "sequences").exists()


@pytest.mark.parametrize("side", ["input", "output"])
def test_what_is_taken_away_later_fails_the_run_with_the_same_line(
    secured: Secured,
    shop: tuple[Written, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    side: str,
) -> None:
    monkeypatch.setattr(running, "partitions_of", lambda *_: (0,))
    spec, output = shop
    denied, acl = (next(iter(spec["sources"])), "Read") if side == "input" else (output, "Write")
    with (
        secured.allowed("bob", without(needed(*shop), denied, "DESCRIBE")),
        pytest.raises(RunFailed) as raised,
    ):
        run_as(secured, "bob", shop, tmp_path / "out")
    line = str(raised.value)
    assert line.startswith(("cannot read at ", "cannot look up topic "))
    assert line.endswith(f'User:bob is refused: it needs the ACL {acl} on topic "{denied}"')


@pytest.mark.parametrize("start", ["earliest", "committed"])
@pytest.mark.parametrize("instead", [[], ["DESCRIBE"]])
def test_a_group_that_is_denied_is_named_with_its_acl_before_anything_is_read(
    secured: Secured, shop: tuple[Written, str], tmp_path: Path, start: str, instead: list[str]
) -> None:
    others: list[Access] = [(operation, "GROUP", GROUP) for operation in instead]
    with (
        secured.allowed("bob", [*needed(*shop), *others]),
        pytest.raises(KafkaUnavailable) as raised,
    ):
        run_as(secured, "bob", shop, tmp_path / "out", start=start, group=GROUP)
    assert str(raised.value) == (
        f"cannot commit for group '{GROUP}' at 127.0.0.1:{secured.ports['LOGIN']}: User:bob is "
        f'refused: it needs the ACL Read on group "{GROUP}"'
    )
    assert not (tmp_path / "out" / "sequences").exists()


def test_a_group_that_is_denied_later_fails_a_run_that_begins_where_it_stands(
    secured: Secured, shop: tuple[Written, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "check_may_commit", lambda *_: None)
    with (
        secured.allowed("bob", needed(*shop)),
        pytest.raises(RunFailed, match=f'needs the ACL Read on group "{GROUP}"'),
    ):
        run_as(secured, "bob", shop, tmp_path / "out", start="committed", group=GROUP)


def test_to_ask_whether_a_group_may_be_committed_for_changes_nothing(secured: Secured) -> None:
    topic = secured.topic()
    with closing(admin(secured.open)) as client:
        check_may_commit(secured.open, f"{GROUP}-none")
        assert f"{GROUP}-none" not in {each["group_id"] for each in client.list_groups()}
    with closing(Commits(secured.open, f"{GROUP}-one")) as commits:
        assert commits.commit({f"{topic}/0": 0})
        check_may_commit(secured.open, f"{GROUP}-one")
        start = starting_offsets(
            secured.open, [topic], lambda _: True, Start("committed"), f"{GROUP}-one"
        )
        assert set(start.values()) == {0}


def test_read_on_the_group_is_enough_to_look_up_and_to_commit(
    secured: Secured, shop: tuple[Written, str], bob: Connection, tmp_path: Path
) -> None:
    topic = next(iter(shop[0]["sources"]))
    group: Access = ("READ", "GROUP", GROUP)
    with secured.allowed("bob", [*needed(*shop), group]):
        counts = run_as(secured, "bob", shop, tmp_path / "out", start="committed", group=GROUP)
        assert counts["sequences"] == 2
        start = starting_offsets(bob, [topic], lambda _: True, Start(), None)
        with closing(Commits(bob, GROUP)) as commits:
            assert commits.commit(dict.fromkeys(start, 1))
        found = starting_offsets(bob, [topic], lambda _: True, Start("committed"), GROUP)
        assert set(found.values()) == {1}


def test_a_trainer_that_may_not_read_or_commit_is_told_so(
    secured: Secured,
    shop: tuple[Written, str],
    bob: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ReaderState, "offsets", lambda _: {0: 0})
    spec, output = shop
    where = Connection(bob.bootstrap, bob.security, output)
    topic = SequenceTopic(where, spec_of(spec), tokens=100, until_latest=True, group=GROUP)
    with producer(secured.open) as client:
        client.send(output, b"x").get(timeout=30)
    with secured.allowed("bob", []), pytest.raises(KafkaUnavailable, match="the ACL Describe on"):
        next(iter(topic))
    with (
        secured.allowed("bob", [("DESCRIBE", "TOPIC", output)]),
        pytest.raises(KafkaUnavailable, match=f'the ACL Read on topic "{output}"$'),
    ):
        next(iter(topic))
    with (
        secured.allowed("bob", [("READ", "TOPIC", output)]),
        pytest.raises(KafkaUnavailable, match=f'the ACL Read on group "{GROUP}"$'),
    ):
        topic.commit(ReaderState())
    topic.close()


def test_who_may_write_nowhere_is_told_so(
    secured: Secured, shop: tuple[Written, str], bob: Connection
) -> None:
    topic = shop[1]
    said = "the ACL Write on the topic, or IdempotentWrite on the cluster"
    with (
        secured.allowed("bob", [("DESCRIBE", "TOPIC", topic)]),
        closing(producer(bob)) as client,
        pytest.raises(KafkaUnavailable, match=f"User:bob is refused: it needs {said}"),
        explained(bob, "cannot write", "Write"),
    ):
        client.send(topic, b"x").get(timeout=30)


def test_who_may_create_no_topic_is_told_so(bob: Connection) -> None:
    with pytest.raises(KafkaUnavailable, match='it needs the ACL Create on topic "of-bob"'):
        create_topics(bob, {"of-bob": 1})


def test_a_client_without_a_name_is_refused_as_this_client(secured: Secured) -> None:
    topic = secured.topic()
    mutual = secured.connection("MUTUAL")
    with (
        closing(consumer(mutual, group_id=GROUP)) as client,
        pytest.raises(KafkaUnavailable, match="this client is refused: it needs the ACL Read on"),
        explained(mutual, "cannot look"),
    ):
        client.committed(TopicPartition(topic, 0))
