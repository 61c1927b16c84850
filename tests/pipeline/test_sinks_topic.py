"""The sequence topic: messages of one partition's rows, tombstones, and what is too large."""

from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_client.clients import Connection
from pipeline.sinks.messages import MESSAGE_BYTES, messages, partition_of
from schemas.codec import decode_batch
from schemas.fingerprint import fingerprint
from schemas.ids import bucket_of
from schemas.sequences import VERSION, sequence_schema
from tests.conftest import NewTopic
from tests.machine import Raw, plain, spec_of
from tests.oracles import shop
from tests.oracles.shop import T
from tests.outcome import Row
from tests.pipeline.messages import received
from tests.pipeline.running import Ran, lines_in, run_in

SPEC = shop.spec_of()
SCHEMA = sequence_schema(spec_of(SPEC))


def sequence(user: str, tokens: int, random: Random) -> Row:
    ids = [random.getrandbits(62) for _ in range(tokens)]
    return {"user_id": user, "sequence_id": user, "spec": "s", "token_id": ids}


def batch(*rows: Row) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=SCHEMA)


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(["a", "ü", "1", "2", "x" * 300]), min_size=1, max_size=30),
    st.integers(1, 7),
)
def test_messages_hold_one_partitions_rows_and_all_of_them(users: list[str], count: int) -> None:
    rows = batch(*(sequence(user, n % 5, Random(n)) for n, user in enumerate(users)))
    found: list[Row] = []
    for each in messages(rows, count):
        part = decode_batch(each.value, SCHEMA)
        assert {bucket_of(user, count) for user in part["user_id"].to_pylist()} == {each.partition}
        assert dict(each.headers)["phia-rows"] == b"%d" % part.num_rows
        found += part.to_pylist()
    assert sorted(map(repr, found)) == sorted(map(repr, rows.to_pylist()))


def test_messages_stay_below_the_limit_and_a_larger_sequence_has_its_own() -> None:
    random = Random(3)
    sizes = [20_000] * 40 + [150_000] + [20] * 100
    rows = batch(*(sequence(f"u{n % 3}", size, random) for n, size in enumerate(sizes)))
    found = [*messages(rows, 2)]
    counts = [each.rows.num_rows for each in found]
    assert sum(counts) == len(sizes)
    assert [
        n for n, each in zip(counts, found, strict=True) if len(each.value) >= MESSAGE_BYTES
    ] == [1]
    assert min(len(each.value) for each in found) > 0


def test_a_users_partition_is_the_same_for_ever() -> None:
    assert [partition_of(user, 8) for user in ("1", "2", "ü", "")] == [
        bucket_of(user, 8) for user in ("1", "2", "ü", "")
    ]
    assert [partition_of(user, 8) for user in ("1", "user-7", "ü")] == [0, 6, 6]


def people(count: int) -> list[Raw]:
    return [
        {**shop.at(n * 10 + k * 3000, i=k + 1, a="VIEW", c=[n, k]), "u": f"user-{n}"}
        for n in range(count)
        for k in range(3)
    ]


def sequences_in(found: list[Any]) -> list[Row]:
    rows = [
        row
        for each in found
        if each.value is not None
        for row in plain(decode_batch(each.value, SCHEMA))
    ]
    return sorted(rows, key=lambda row: str(row["sequence_id"]))


def run_to(
    kafka: Connection, topic: str, tmp_path: Path, sources: dict[str, list[Raw]], **changes: Any
) -> Ran:
    read = lines_in(tmp_path / "in", sources)
    also = [f"kafka://{kafka.bootstrap}/{topic}"]
    return run_in(shop.spec_of(**changes), read, tmp_path / "out", also=also)


@pytest.mark.kafka
def test_the_topic_holds_what_the_folder_holds(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    topic = new_topic(4)
    erased: list[Raw] = [{"u": f"user-{n}", "t": T + 3500 + n * 10} for n in range(0, 200, 20)]
    ran = run_to(kafka, topic, tmp_path, {"e": people(200), "x": erased})
    found = received(kafka, topic)
    assert sequences_in(found) == ran.sequences()
    assert len(ran.sequences()) > 500
    spec_id = fingerprint(spec_of(SPEC)).encode()
    assert len(found) < 100  # many rows a message
    for each in found:
        if each.value is None:
            continue
        rows = decode_batch(each.value, SCHEMA)
        assert len(each.value) < MESSAGE_BYTES
        assert dict(each.headers) == {
            "phia-spec": spec_id,
            "phia-rows": b"%d" % rows.num_rows,
            "phia-schema": VERSION.encode(),
        }
        users = set(rows["user_id"].to_pylist())
        assert {bucket_of(user, 4) for user in users} == {each.partition}
    dead = [each for each in found if each.value is None]
    assert {(each.key.decode(), int(dict(each.headers)["phia-time"])) for each in dead} == (
        ran.tombstones()
    )
    assert len(dead) == len(erased)
    assert all(bucket_of(each.key.decode(), 4) == each.partition for each in dead)


@pytest.mark.kafka
def test_a_topic_alone_needs_no_folder(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    topic = new_topic(2)
    read = lines_in(tmp_path / "in", {"e": people(3), "x": []})
    run_in(SPEC, read, f"kafka://{kafka.bootstrap}/{topic}")
    assert len(sequences_in(received(kafka, topic))) == 9


@pytest.mark.kafka
def test_a_sequence_that_the_broker_does_not_take_is_rejected_with_its_size(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    topic = new_topic(1, **{"max.message.bytes": "30000"})
    random = Random(1)
    large: list[Raw] = [
        {**shop.at(n, i=random.getrandbits(60), a="VIEW", id=n), "u": "large"}
        for n in range(20_000)
    ]
    ran = run_to(kafka, topic, tmp_path, {"e": [*people(5), *large], "x": []})
    there = sequences_in(received(kafka, topic))
    assert [row for row in ran.sequences() if row["user_id"] != "large"] == there
    assert len(there) == 15
    (row,) = ran.rejects()
    (lost,) = [each for each in ran.sequences() if each["user_id"] == "large"]
    assert row["reason"] == "too_large"
    assert row["raw"] == lost["sequence_id"].encode()
    assert int(row["detail"].split(" bytes")[0].split()[-1]) > 30_000


@pytest.mark.kafka
def test_many_small_sequences_of_one_bundle_get_through_a_small_broker(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    """A message of many rows that is too large for the broker is no reason to lose its rows."""
    topic = new_topic(1, **{"max.message.bytes": "30000"})
    random = Random(1)
    many: list[Raw] = [
        {**shop.at(n, i=random.getrandbits(60), a="VIEW", id=n), "u": f"u{n % 500}"}
        for n in range(20_000)
    ]
    ran = run_to(kafka, topic, tmp_path, {"e": many, "x": []})
    assert ran.rejects() == []
    assert sequences_in(received(kafka, topic)) == ran.sequences()
    assert len(ran.sequences()) == 500
