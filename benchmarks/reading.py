"""phia's reader of sequences beside the least that could be done: columns scanned, messages polled.

    python -m benchmarks.reading SPEC FOLDER [--tokens 8192]

FOLDER is that of a run. Its sequences are also sent to a topic of a broker of its own, as a run
sends them. Everything is read once to the end, in one process, each after the other.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from kafka import TopicPartition

from benchmarks.measure import machine, table
from kafka_client.clients import Connection, consumer, producer
from kafka_client.topics import create_topics, end_offsets
from model.reader.files import SequenceFiles
from model.reader.topic import SequenceTopic
from pipeline.broker import Broker
from pipeline.sinks.messages import messages
from schemas.load import load_spec
from schemas.spec import Spec

PARTITIONS = 4


def main() -> int:
    """Measures both inputs and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=8_192, help="of a batch")
    given = parser.parse_args()
    print(machine(), "\n")
    spec = load_spec(given.spec)
    data = ds.dataset(given.folder / "sequences", format="parquet")
    rows = [
        _row("Parquet", lambda: _scan(data), SequenceFiles(given.folder, spec, tokens=given.tokens))
    ]
    with tempfile.TemporaryDirectory() as scratch, Broker(Path(scratch) / "kafka") as broker:
        where = Connection(broker.bootstrap, {}, "sequences")
        _publish(where, data)
        rows.append(_row("topic", lambda: _poll(where), _topic(where, spec, given.tokens)))
    print(table(_HEADS, rows))
    return 0


_HEADS = [
    *("from", "sequences", "tokens", "least s", "phia s"),
    *("least / phia", "phia sequences/s", "phia M tokens/s"),
]


def _topic(where: Connection, spec: Spec, tokens: int) -> SequenceTopic:
    return SequenceTopic(where, spec, tokens=tokens, until_latest=True)


def _row(name: str, least: Callable[[], None], batches: Iterable[object]) -> list[str]:
    begun = time.perf_counter()
    least()
    between = time.perf_counter()
    sizes = [(batch.sequences, batch.tokens) for batch in batches]  # type: ignore[attr-defined]
    seconds = time.perf_counter() - between
    sequences, tokens = (sum(each) for each in zip(*sizes, strict=True))
    return [
        name,
        f"{sequences:,}",
        f"{tokens:,}",
        f"{between - begun:.2f}",
        f"{seconds:.2f}",
        f"**{(between - begun) / seconds:.0%}**",
        f"{sequences / seconds:,.0f}",
        f"{tokens / seconds / 1e6:.1f}",
    ]


def _scan(data: ds.Dataset) -> None:
    """All columns, in the order of the files."""
    for batch in data.to_batches():
        batch["token_id"].flatten()


def _publish(where: Connection, data: ds.Dataset) -> None:
    create_topics(where, {str(where.topic): PARTITIONS})
    with closing(producer(where, compression=None)) as client:
        for batch in data.to_batches(batch_size=512):
            for each in messages(batch, PARTITIONS):
                client.send(
                    where.topic, value=each.value, headers=each.headers, partition=each.partition
                )
        client.flush(timeout=120)


def _poll(where: Connection) -> None:
    """All messages, each opened as Arrow and no more."""
    ends = end_offsets(where, str(where.topic))
    with closing(consumer(where)) as client:
        places = [TopicPartition(where.topic, partition) for partition in ends]
        client.assign(places)
        client.seek_to_beginning(*places)
        while any(client.position(place) < ends[place.partition] for place in places):
            for found in client.poll(timeout_ms=500).values():
                for each in found:
                    pa.ipc.open_stream(each.value).read_all()


if __name__ == "__main__":
    sys.exit(main())
