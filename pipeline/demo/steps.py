"""What the demo does while its broker runs: topics filled, sequences made, and read back."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from kafka import KafkaConsumer, TopicPartition
from rich.console import Console

from kafka_client.clients import Connection, KafkaUnavailable, consumer, explained
from kafka_client.topics import create_topics, end_offsets
from pipeline.broker import BrokerError
from pipeline.java.locks import take_lock
from pipeline.options import run_of
from pipeline.progress import shown_while
from pipeline.run import run
from pipeline.simulate.command import simulated
from pipeline.sinks.folder import OutputError, check_output, holds_output
from schemas.codec import decode_batch
from schemas.failures import Failure
from schemas.outputs import output_schemas
from schemas.sequences import sequence_schema
from schemas.spec import Spec

MARK = ".phia-demo"
"""The file that tells a demo's folder from others, which are not to be emptied."""

TOPIC = "sequences"
PARTITIONS = 2
USERS, ITEMS = 1_000, 5_000
POLL_MS, POLLS = 1_000, 30


class DemoFailed(Failure):
    """What came out of the demo is not what went in."""


@dataclass
class Demo:
    """A demo under way: `truth` is what the simulator says it sent."""

    spec: Spec
    out: Path
    events: int
    console: Console
    bootstrap: str
    truth: dict[str, Any] = field(default_factory=dict)

    @property
    def input(self) -> str:
        """Where the sources' topics are."""
        return f"kafka://{self.bootstrap}"

    @property
    def topic(self) -> Connection:
        """The sequence topic."""
        return Connection.from_url(f"{self.input}/{TOPIC}")

    def table(self, name: str) -> pl.LazyFrame:
        """An output of the run, from Parquet."""
        return pl.scan_parquet(self.out / name / "*.parquet")


def claim(out: Path, spec: Spec) -> None:
    """Makes the folder a demo's, and takes away what an earlier demo's broker kept there.

    Raises OutputError where it holds something else or can't be made, BrokerError where a broker
    runs in it.
    """
    mine = (out / MARK).exists()
    if not mine and ((out / "broker").exists() or holds_output(out, output_schemas(spec))):
        raise OutputError(f"{out} holds what no demo made: name another folder with --out")
    check_output(out, output_schemas(spec), replace=True)
    (out / MARK).touch()
    lock = take_lock(out / "broker" / "broker.lock", 0.0)
    if lock is None:
        raise BrokerError(f"a broker runs in {out / 'broker'}: stop it, or name another --out")
    with lock:
        shutil.rmtree(out / "broker" / "data", ignore_errors=True)
        (out / "broker" / "server.log").unlink(missing_ok=True)


def fill_topics(demo: Demo) -> str:
    """Sends what a simulated platform makes, with the arrivals' times as Kafka's timestamps."""
    numbers = {"seed": 0, "users": USERS, "items": ITEMS, "events": demo.events}
    with shown_while("filling topics", demo.console) as progress:
        demo.truth = simulated(
            demo.spec,
            demo.input,
            numbers,
            [],
            rate=0.0,
            timestamps="event",
            partitions=PARTITIONS,
            replace=True,
            progress=progress,
        )
    text = json.dumps(demo.truth, indent=2) + "\n"
    (demo.out / "simulated.json").write_text(text, encoding="utf-8")
    records = demo.truth["records"]
    parts = ", ".join(f"{name} {count:,}" for name, count in records.items())
    return f"{sum(records.values()):,} records: {parts}"


def make_sequences(demo: Demo) -> str:
    """Runs the pipeline from the topics to the sequence topic and to Parquet."""
    create_topics(Connection(demo.bootstrap), {TOPIC: PARTITIONS})
    outputs = [str(demo.out), f"{demo.input}/{TOPIC}"]
    what = run_of(demo.spec, demo.input, outputs, "latest", "earliest", None, {}, [], replace=True)
    with shown_while("making sequences", demo.console):
        counts = run(what, lambda line: demo.console.print(f"warning: {line}", markup=False))
    raw, tokens = counts.get("raw_tokens", 0), counts.get("tokens", 0)
    return f"{counts.get('sequences', 0):,} sequences of {tokens:,} tokens ({raw:,} uncompressed)"


def read_back(demo: Demo) -> str:
    """Reads the sequence topic as a trainer would, and holds it against the Parquet files."""
    there, messages, tombstones = set[str](), 0, 0
    for value in _values(demo.topic):
        messages += 1
        if value is None:
            tombstones += 1
        else:
            there |= set(decode_batch(value, sequence_schema(demo.spec))["sequence_id"].to_pylist())
    written = set(demo.table("sequences").select("sequence_id").collect().to_series())
    if there != written:
        raise DemoFailed(
            f"the topic {TOPIC} has {len(there - written):,} sequences that Parquet lacks, "
            f"and lacks {len(written - there):,}"
        )
    return (
        f"{len(there):,} sequences and {tombstones:,} tombstones in {messages:,} messages "
        f"of the topic {TOPIC}: the same as in Parquet"
    )


def _values(topic: Connection) -> Iterator[bytes | None]:
    """The values of all messages of a topic, up to its present end."""
    ends = {TopicPartition(topic.topic, n): end for n, end in end_offsets(topic, TOPIC).items()}
    client = consumer(topic)
    try:
        client.assign(list(ends))
        with explained(topic, f"cannot read topic {TOPIC!r}", "Read"):
            yield from _until(client, ends)
    finally:
        client.close(timeout_ms=5_000)


def _until(client: KafkaConsumer, ends: dict[TopicPartition, int]) -> Iterator[bytes | None]:
    for _ in range(POLLS):
        while polled := client.poll(timeout_ms=POLL_MS):
            for records in polled.values():
                yield from (record.value for record in records)
        if all(client.position(place) >= end for place, end in ends.items()):
            return
    raise KafkaUnavailable(f"nothing came from topic {TOPIC!r} for {POLLS * POLL_MS // 1000} s")
