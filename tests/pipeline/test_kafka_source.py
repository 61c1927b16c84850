"""`phia run` from Kafka: the rows of files, however partitioned; what is late; what goes wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kafka_client import clients
from kafka_client.clients import Connection, KafkaUnavailable, producer
from kafka_client.topics import end_offsets
from pipeline.kafka import reader, source
from pipeline.kafka.commits import Commits
from pipeline.kafka.reader import Reader
from pipeline.kafka.reading import Reading
from pipeline.kafka.starting import stopping_offsets
from pipeline.options import Run, run_of
from pipeline.run import _check_topics
from schemas.failures import Failure, UsageError
from tests.conftest import NewTopic
from tests.machine import spec_of
from tests.oracles import shop
from tests.oracles.shop import Spec, T
from tests.outcome import Row, different_rows, expected
from tests.pipeline.messages import Message, arrow, message, send
from tests.pipeline.running import Ran, as_json, drawn, lines_in, run_in
from tests.strategies.crowds import Sources, crowd, crowd_parts
from tests.strategies.specs import specs

pytestmark = pytest.mark.kafka
BOUND_S = 15.0


def renamed(spec: Spec, names: dict[str, str]) -> Spec:
    """The spec with other names of its sources."""
    return {**spec, "sources": {names[name]: each for name, each in spec["sources"].items()}}


def shop_of(e: str, x: str, **changes: Any) -> Spec:
    return renamed(shop.spec_of(**changes), {"e": e, "x": x})


def view(time: int, **values: Any) -> Row:
    return shop.at(time, **{"i": 1, "a": "VIEW", **values})


def spread(sources: Sources, partitions: int) -> Iterator[tuple[str, list[Message]]]:
    """The records of each source as messages that come in some order, all within ten minutes."""
    for name, records in sources.items():
        yield (
            name,
            [
                Message(as_json(record), 600_000 + n // 3, n * 7 % partitions)
                for n, record in enumerate(records)
            ],
        )


def test_bundles_that_come_again_lose_no_text(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    e, x = new_topic(2), new_topic()
    rows = [view(n, i=f"item {n % 40}", id=n) for n in range(90)]
    send(kafka, e, [Message(as_json(row), n, n % 2) for n, row in enumerate(rows)])
    for name, repeat in (("once", ()), ("again", ("--direct_runner_bundle_repeat=1",))):
        ran = run_in(shop_of(e, x), url(kafka), tmp_path / name, *repeat)
        assert ran.table("dictionary").num_rows == 40, name


@pytest.mark.slow
def test_s12_kafka_gives_the_rows_of_files_for_any_partitions_and_readers(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    drawn_spec = drawn(specs(), 9)[-1]
    parts = drawn(crowd_parts(drawn_spec), 25)[8:]
    for partitions, readers, shards in ((1, 1, 1), (4, 1, 8), (4, 3, 3)):
        names = {name: new_topic(partitions) for name in drawn_spec["sources"]}
        spec = renamed(drawn_spec, names)
        sources = crowd(spec, [{names[n]: each for n, each in part.items()} for part in parts])
        for topic, messages in spread(sources, partitions):
            send(kafka, topic, messages)
        read = lines_in(tmp_path / f"in-{readers}-{partitions}", sources)
        files = run_in(spec, read, tmp_path / f"files-{readers}-{partitions}")
        out = tmp_path / f"kafka-{readers}-{partitions}"
        ran = run_in(spec, url(kafka), out, readers=readers, shards=shards)
        assert ran.late() == []
        assert ran.bytes_of_rows() == files.bytes_of_rows()
        assert ran.tombstones() == files.tombstones()
        assert ran.counts == files.counts
        want = expected(spec, sources)
        got = {row["sequence_id"]: {**row} for row in ran.sequences()}
        for row in got.values():
            del row["spec"]
        assert different_rows(got, want.sequences) == []
        assert len(got) > 30


def url(kafka: Connection) -> str:
    return f"kafka://{kafka.bootstrap}"


Sent = Callable[..., Ran]


@pytest.fixture
def sent(kafka: Connection, new_topic: NewTopic, tmp_path: Path) -> Sent:
    """Sends messages to the topic of engagements and one of erasures, and runs over both."""

    def go(
        *messages: Message,
        partitions: int = 1,
        form: str = "json",
        options: Any = (),
        **changes: Any,
    ) -> Ran:
        e, x = new_topic(partitions), new_topic(1)
        spec = shop_of(e, x, **changes)
        spec["sources"][e]["format"] = form
        send(kafka, e, messages)
        return run_in(spec, url(kafka), tmp_path / "out", **dict(options))

    return go


def tokens(ran: Ran) -> list[list[tuple[int, int, int]]]:
    rows = sorted(ran.sequences(), key=lambda row: (row["user_id"], row["session_end"]))
    return [shop.tokens_of(row) for row in rows]


def test_s3_late_records_go_to_the_late_output_with_all_that_is_known(sent: Sent) -> None:
    late = message(view(0, i=3), at=20_001)
    ran = sent(
        message(view(20_000)),
        late,
        message(view(19_001, i=2), at=20_002),
        horizon="1s",
    )
    (row,) = ran.late()
    assert (row["partition"], row["offset"], row["raw"]) == (0, 1, late.value)
    assert (row["reason"], row["file"], row["line"]) == ("behind_watermark", None, None)
    assert tokens(ran) == [[(0, 2, 19_001), (1, 1, 19_001), (0, 1, 20_000), (1, 1, 20_000)]]
    assert ran.counts["late"] == 1


def test_s3_partitions_are_read_in_the_order_of_kafkas_timestamps(sent: Sent) -> None:
    """However the client gets them: one partition's records first would make the other's late."""
    many = [
        Message(as_json(view(n * 100, id=f"{p}-{n}", i=p + 1)), n * 100 + p, p)
        for n in range(3000)
        for p in range(4)
    ]
    by_partition = sorted(many, key=lambda each: each.partition)
    ran = sent(*by_partition, partitions=4, horizon="1s", watermark={"skew": "1h", "idle": "5s"})
    assert ran.counts["records"] == 12_000
    assert not ran.counts.get("late")
    (row,) = ran.sequences()
    assert row["new_contents"] == 12_000


def test_s13_tombstones_erase_and_keyless_ones_are_rejected(sent: Sent) -> None:
    ran = sent(
        message(view(0)),
        message({**view(0), "u": "v"}),
        Message(None, 50, key=b"u"),
        Message(None, 60, key=b""),
        message(view(2000, i=2)),
    )
    assert tokens(ran) == [[(0, 2, 2000), (1, 1, 2000)], [(0, 1, 0), (1, 1, 0)]]
    assert ran.tombstones() == {("u", T + 50)}
    (row,) = ran.rejects()
    assert (row["reason"], row["offset"], row["raw"]) == ("missing_user", 3, b"")


def test_arrow_messages_and_damaged_ones(sent: Sent) -> None:
    whole = arrow([view(n, id=n) for n in range(5_000)])
    broken = whole[:-300]
    last = arrow([view(7_000_000, id="last")])
    ran = sent(Message(whole, 6000), Message(broken, 6001), Message(last, 7_000_000), form="arrow")
    assert {row["new_contents"] for row in ran.sequences()} == {5_000, 1}
    assert {(row["offset"], row["reason"]) for row in ran.rejects()} == {(1, "malformed")}
    assert broken in [row["raw"] for row in ran.rejects()]


def test_large_messages_go_through(sent: Sent) -> None:
    many = [message(view(n, id=n, pad="x" * 900_000)) for n in range(12)]
    ran = sent(*many)
    assert ran.sequences()[0]["new_contents"] == 12
    assert ran.rejects() == []


def test_empty_topics_give_empty_outputs(sent: Sent) -> None:
    ran = sent(partitions=3)
    assert ran.sequences() == []
    assert not ran.counts.get("records")


def test_aborted_transactions_are_not_read_and_end_a_run_too(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    e, x = new_topic(), new_topic()
    with closing(producer(kafka, transactional_id=e)) as client:
        client.init_transactions()
        for at, commits in enumerate((True, False, True, False)):
            client.begin_transaction()
            client.send(e, value=as_json(view(at, i=at + 1)), timestamp_ms=T + at)
            client.flush(timeout=30)
            client.commit_transaction() if commits else client.abort_transaction()
    assert end_offsets(kafka, e) == {0: 8}
    ran = run_in(shop_of(e, x), url(kafka), tmp_path / "out")
    assert tokens(ran) == [[(0, 1, 0), (1, 1, 0), (0, 3, 2), (1, 1, 2)]]


def test_until_latest_does_not_read_what_comes_later(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e, x = new_topic(2), new_topic()
    spec = shop_of(e, x)
    send(kafka, e, [message(view(0)), message(view(1, i=2), partition=1)])
    stopping = stopping_offsets

    def then_more(*arguments: Any) -> Any:
        stops = stopping(*arguments)
        send(kafka, e, [message(view(2, i=3)), message(view(3, i=4), partition=1)])
        return stops

    monkeypatch.setattr(source, "stopping_offsets", then_more)
    ran = run_in(spec, url(kafka), tmp_path / "out")
    assert tokens(ran) == [[(0, 1, 0), (1, 1, 0), (0, 2, 1), (1, 1, 1)]]


@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        ("earliest", [0, 1, 2]),
        ("latest", []),
        ("2023-11-14T22:13:21Z", [1, 2]),
        ("2023-11-14T22:13:21.001", [2]),
        ("2030-01-01T00:00:00Z", []),
        ("committed", [2]),
    ],
)
def test_start_positions(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path, start: str, wanted: list[int]
) -> None:
    e, x = new_topic(), new_topic()
    send(kafka, e, [message(view(1000 * n, i=n + 1)) for n in range(3)])
    group = f"g-{e}"
    _commit(kafka, e, group, 2)
    ran = run_in(shop_of(e, x), url(kafka), tmp_path / "out", start=start, group=group)
    found = [token_id - 1 for row in ran.sequences() for token_id in row["token_id"][::2]]
    assert sorted(set(found)) == wanted


def _commit(kafka: Connection, topic: str, group: str, offset: int) -> None:
    own = Commits(kafka, group)
    assert own.commit({f"{topic}/0": offset})
    own.close()


@contextmanager
def one_line(*parts: str) -> Iterator[None]:
    """An expected failure, in time, whose line says all of these."""
    started = time.monotonic()
    with pytest.raises(Failure) as raised:
        yield
    text = str(raised.value)
    assert "\n" not in text
    assert [part for part in parts if part not in text] == [], text
    assert time.monotonic() - started < BOUND_S


def test_a_topic_that_does_not_exist_is_one_line(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    spec = shop_of(new_topic(), "nowhere")
    with one_line("'nowhere'", "does not exist", kafka.bootstrap):
        run_in(spec, url(kafka), tmp_path / "out")
    assert not (tmp_path / "out" / "sequences").exists()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "BOOTSTRAP_MS", 1000)


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with one_line("127.0.0.1:1", "Connection refused"):
        run_in(shop.spec_of(), "kafka://127.0.0.1:1", tmp_path / "out")


def test_a_sequence_topic_that_does_not_exist_is_one_line(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    spec = shop_of(new_topic(), new_topic())
    with one_line("'no-sequences'", "does not exist"):
        run_in(spec, url(kafka), tmp_path / "out", also=[f"{url(kafka)}/no-sequences"])


def test_a_wrong_security_option_is_a_usage_error(kafka: Connection, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="security_protocol is 'TLS'"):
        run_in(shop.spec_of(), url(kafka), tmp_path / "out", security={"security_protocol": "TLS"})


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_does_not_speak_tls_is_one_line(kafka: Connection, tmp_path: Path) -> None:
    with one_line(kafka.bootstrap):
        run_in(shop.spec_of(), url(kafka), tmp_path / "out", security={"security_protocol": "SSL"})


def test_the_reader_merges_while_it_is_live(kafka: Connection, new_topic: NewTopic) -> None:
    """An unbounded reader gives what is there, and finds the records of added partitions."""
    e = new_topic(2)
    send(kafka, e, [message(view(n), at=n, partition=n % 2) for n in range(10)])
    live = Reader(kafka, Reading({f"{e}/0": 0}))
    try:
        _until(lambda: len(live.gather()) > 0 or live.caught_up)
        live.add({f"{e}/1": 0})
        _until(lambda: len(live.gather()) == 0 and live.offsets == {f"{e}/0": 5, f"{e}/1": 5})
        _until(lambda: live.caught_up)
        assert not live.ended
        later = threading.Thread(target=send, args=(kafka, e, [message(view(20), at=20)]))
        later.start()
        got: list[Any] = []
        _until(lambda: _grown(got, [*live.gather()]))
        later.join(timeout=30)
        assert [(place, record.offset) for place, record in got] == [(f"{e}/0", 5)]
        assert live.offsets == {f"{e}/0": 6, f"{e}/1": 5}
    finally:
        live.close()


def _grown(found: list[Any], more: list[Any]) -> bool:
    found += more
    return bool(found)


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline


def test_a_reader_whose_topic_goes_says_so(kafka: Connection, new_topic: NewTopic) -> None:
    e = new_topic()
    send(kafka, e, [message(view(0))])
    reading = Reading({f"{e}/0": 0}, {f"{e}/0": 5})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "STALL_S", 2.0)
        stuck = Reader(kafka, reading)
        try:
            with pytest.raises(KafkaUnavailable, match=r"4 offsets left in t-.*/0"):
                stuck.gather()
        finally:
            stuck.close()


def test_a_run_that_stalls_is_one_line_and_leaves_nothing(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a broker goes away for good while a run lasts."""
    e, x = new_topic(), new_topic()
    send(kafka, e, [message(view(0))])
    monkeypatch.setattr(reader, "STALL_S", 1.0)
    monkeypatch.setattr(source, "stopping_offsets", lambda *_: {f"{e}/0": 3, f"{x}/0": 0})
    with one_line("nothing came for 1 s; 2 offsets left in", f"{e}/0"):
        run_in(shop_of(e, x), url(kafka), tmp_path / "out")
    assert not (tmp_path / "out" / "sequences").exists()


def test_s3_bounded_input_tells_late_records_whatever_the_readers(sent: Sent) -> None:
    late = message(view(0, i=3), at=20_001, partition=1)
    ran = sent(
        message(view(20_000)),
        message(view(20_000, i=2, id="2"), partition=1),
        late,
        partitions=2,
        options={"readers": 2},
        horizon="1s",
    )
    assert [row["raw"] for row in ran.late()] == [late.value]
    assert len(ran.warnings) == 1


def test_s3_a_reader_without_a_partition_is_refused(kafka: Connection, new_topic: NewTopic) -> None:
    """It would never tell of a watermark, and no session would ever be complete."""
    spec, cluster = spec_of(shop_of(new_topic(2), new_topic())), url(kafka)

    def asked(readers: int) -> Run:
        flink = ["--runner=FlinkRunner"]
        into = [f"{cluster}/out"]
        return run_of(spec, cluster, into, None, "earliest", None, {}, flink, readers=readers)

    _check_topics(asked(2), kafka)
    with pytest.raises(UsageError, match="--readers=3: at most 2, as many as a topic has partit"):
        _check_topics(asked(3), kafka)
