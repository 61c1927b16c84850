"""The sink to a topic while the broker refuses or is away: what arrives, is held, and is said."""

import threading
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from kafka.errors import KafkaError, MessageSizeTooLargeError, OutOfOrderSequenceNumberError

from kafka_client import clients
from kafka_client.clients import Connection, KafkaUnavailable
from kafka_client.topics import create_topics
from pipeline.broker import Broker
from pipeline.sinks import sending
from pipeline.sinks.sending import _Sent
from pipeline.sinks.topic import TombstonesToTopic, WriteToTopic
from schemas.codec import decode_batch
from schemas.outputs import TOMBSTONES
from schemas.sequences import sequence_schema
from tests.conftest import NewTopic
from tests.machine import spec_of
from tests.oracles import shop
from tests.outcome import Row
from tests.pipeline.messages import received

pytestmark = pytest.mark.kafka

SCHEMA = sequence_schema(spec_of(shop.spec_of()))


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that tests may kill; each leaves it running."""
    with Broker(tmp_path_factory.mktemp("mortal")) as broker:
        yield broker


def rows(count: int, tokens: int, first: int = 0) -> pa.RecordBatch:
    """Sequences s-FIRST… of so many random tokens each, 8 bytes a token."""
    random = Random(first)
    made = [
        {
            "user_id": f"u-{n}",
            "sequence_id": f"s-{n}",
            "spec": "s",
            "token_id": [random.getrandbits(62) for _ in range(tokens)],
        }
        for n in range(first, first + count)
    ]
    return pa.RecordBatch.from_pylist(made, schema=SCHEMA)


def ids(first: int, count: int) -> list[str]:
    return sorted(f"s-{n}" for n in range(first, first + count))


def write(sink: Any, *batches: pa.RecordBatch) -> list[Row]:
    """A bundle of these batches; gives the rejects."""
    sink.start_bundle()
    rejected: list[Row] = []
    for batch in batches:
        for given in sink.process(batch):
            rejected += given.to_pylist()
    for windowed in sink.finish_bundle():
        rejected += windowed.value.to_pylist()
    return rejected


def arrived(kafka: Connection, topic: str) -> list[str]:
    values = [each.value for each in received(kafka, topic) if each.value is not None]
    return sorted(i for v in values for i in decode_batch(v, SCHEMA)["sequence_id"].to_pylist())


Opened = Callable[..., Any]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens a sink; all are closed at the end."""
    sinks: list[Any] = []

    def go(kafka: Connection, topic: str, kind: Any = WriteToTopic) -> Any:
        sinks.append(kind(Connection(kafka.bootstrap, topic=topic)))
        sinks[-1].setup()
        return sinks[-1]

    yield go
    for sink in sinks:
        sink.teardown()


def test_only_what_is_too_large_is_rejected_however_much_is_on_its_way(
    kafka: Connection, new_topic: NewTopic, opened: Opened
) -> None:
    """One producer's death takes its neighbours along, for other reasons; these are sent again."""
    topic = new_topic(3, **{"max.message.bytes": "20000"})
    sink = opened(kafka, topic)
    batches = [rows(1, 5_000 if n % 10 == 5 else 200, first=n) for n in range(60)]
    rejected = write(sink, *batches)
    large = [f"s-{n}" for n in range(60) if n % 10 == 5]
    assert sorted(row["raw"].decode() for row in rejected) == sorted(large)
    assert {row["reason"] for row in rejected} == {"too_large"}
    assert arrived(kafka, topic) == sorted({*ids(0, 60)} - {*large})
    assert write(sink, rows(5, 10, first=100)) == []
    assert len(arrived(kafka, topic)) == 59


class Failed:
    """The future of a message that did not arrive."""

    def __init__(self, error: KafkaError) -> None:
        self.error = error

    def get(self, timeout: float) -> None:
        raise self.error


def test_a_neighbour_of_what_is_too_large_may_fail_for_any_reason(
    kafka: Connection, new_topic: NewTopic, opened: Opened
) -> None:
    own = opened(kafka, new_topic())._sending
    large, gap = MessageSizeTooLargeError(), OutOfOrderSequenceNumberError("a gap")
    own._sent = [_Sent("a", Failed(gap)), _Sent("b", Failed(large)), _Sent("c", Failed(gap))]
    assert own.confirm() == ["a", "b", "c"]
    assert own.confirm() == []
    own._sent = [_Sent("a", Failed(gap))]
    with pytest.raises(KafkaUnavailable, match="a gap"):
        own.confirm()
    assert own._sent == []


def test_messages_that_are_too_large_together_all_arrive(
    kafka: Connection, new_topic: NewTopic, opened: Opened
) -> None:
    topic = new_topic(1, **{"max.message.bytes": "150000"})
    sink = opened(kafka, topic)
    assert write(sink, *(rows(1, 10_000, first=n) for n in range(30))) == []
    assert arrived(kafka, topic) == ids(0, 30)


def test_what_the_client_does_not_take_is_rejected_too(
    kafka: Connection, new_topic: NewTopic, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "REQUEST_BYTES", 50_000)
    topic = new_topic()
    (row,) = write(opened(kafka, topic), rows(3, 10), rows(1, 9_000, first=3), rows(3, 10, first=4))
    assert row["raw"] == b"s-3"
    assert arrived(kafka, topic) == sorted({*ids(0, 7)} - {"s-3"})


def test_a_topic_that_takes_no_message_without_a_key_is_one_line_and_loses_nothing(
    kafka: Connection, new_topic: NewTopic, opened: Opened
) -> None:
    """A wrong setting of the topic is no fault of the rows: they are not rejected, but wait."""
    topic = new_topic(1, **{"cleanup.policy": "compact"})
    sink = opened(kafka, topic)
    for _ in range(2):
        with pytest.raises(KafkaUnavailable, match=f"cannot write to topic '{topic}'") as raised:
            write(sink, rows(3, 10), rows(3, 10, first=3))
        assert "\n" not in str(raised.value)
        assert "ompact" in str(raised.value)
    assert arrived(kafka, topic) == []


def test_a_tombstone_that_is_too_large_is_rejected_and_the_others_arrive(
    kafka: Connection, new_topic: NewTopic, opened: Opened
) -> None:
    topic = new_topic(2, **{"max.message.bytes": "3000"})
    random = Random(1)
    users = ["a", "b", "".join(chr(random.randrange(33, 0x2000)) for _ in range(5_000)), "c"]
    table = [{"user_id": user, "time": 1_700_000_000_123 + n} for n, user in enumerate(users)]
    batch = pa.RecordBatch.from_pylist(table, schema=TOMBSTONES)
    (row,) = write(opened(kafka, topic, TombstonesToTopic), batch)
    assert row["raw"] == users[2].encode()
    assert (row["reason"], row["event_time"].microsecond) == ("too_large", 125_000)
    assert sorted(each.key for each in received(kafka, topic)) == [b"a", b"b", b"c"]


def test_an_outage_is_ridden_out_within_a_bundle_in_bounded_memory(
    mortal: Broker, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "UNCONFIRMED_BYTES", 1 << 20)
    kafka = Connection(mortal.bootstrap)
    create_topics(kafka, {"ridden": 2})
    sink = opened(kafka, "ridden")
    assert write(sink, rows(10, 10)) == []
    mortal.kill()
    back = threading.Timer(5, mortal.start)
    back.start()
    held: list[int] = []
    send = sink._sending.send

    def seen(*what: Any, **message: Any) -> None:
        send(*what, **message)
        held.append(sink._sending._bytes)

    monkeypatch.setattr(sink._sending, "send", seen)
    started = time.monotonic()
    assert write(sink, *(rows(10, 10_000, first=10 + n * 10) for n in range(10))) == []
    back.join(60)
    assert time.monotonic() - started > 4
    assert max(held) < (1 << 20) + 900_000
    assert arrived(kafka, "ridden") == ids(0, 110)


def test_a_long_outage_is_one_line_and_the_bundle_can_be_done_again(
    mortal: Broker, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "CONFIRM_S", 2.0)
    monkeypatch.setattr(clients, "BOOTSTRAP_MS", 1000)
    kafka = Connection(mortal.bootstrap)
    create_topics(kafka, {"long": 2})
    sink = opened(kafka, "long")
    assert write(sink, rows(1, 10)) == []
    mortal.kill()
    try:
        for _ in range(2):  # with the producer that there was, then with none
            started = time.monotonic()
            with pytest.raises(KafkaUnavailable, match="Connection refused") as raised:
                write(sink, rows(9, 1_000, first=1))
            assert "\n" not in str(raised.value)
            assert time.monotonic() - started < 15
            assert (sink._sending._sent, sink._sending._producer) == ([], None)
    finally:
        mortal.start()
    monkeypatch.setattr(sending, "CONFIRM_S", 60.0)
    assert write(sink, rows(9, 1_000, first=1)) == []
    assert sorted({*arrived(kafka, "long")}) == ids(0, 10)


def test_a_bundle_that_failed_elsewhere_leaves_nothing_behind(
    mortal: Broker, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "BOOTSTRAP_MS", 1000)
    kafka = Connection(mortal.bootstrap)
    create_topics(kafka, {"halfway": 1})
    sink = opened(kafka, "halfway")
    mortal.kill()
    sink._sending._producer = None
    try:
        with pytest.raises(KafkaUnavailable):
            write(sink, rows(1, 10))
    finally:
        mortal.start()
    sink.start_bundle()
    assert [*sink.process(rows(3, 10))] == []
    assert len(sink._sending._sent) > 0
    assert write(sink, rows(2, 10, first=3)) == []
    assert {*arrived(kafka, "halfway")} >= {*ids(3, 2)}
    assert sink._sending._sent == []


def test_closing_is_bounded_where_the_broker_is_away(mortal: Broker, opened: Opened) -> None:
    kafka = Connection(mortal.bootstrap)
    create_topics(kafka, {"closing": 1})
    sink = opened(kafka, "closing")
    assert write(sink, rows(1, 10)) == []
    threads = threading.active_count()
    mortal.kill()
    try:
        sink.start_bundle()
        assert [*sink.process(rows(3, 10_000))] == []
        started = time.monotonic()
        sink.teardown()
        assert time.monotonic() - started < 2 * sending.CLOSE_S
        assert threading.active_count() < threads
    finally:
        mortal.start()
