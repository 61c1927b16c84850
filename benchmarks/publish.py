"""Publishes a workload to topics, as a process of its own: `python -m benchmarks.publish --help`.

As JSON one message is one record; as Arrow it is a stream of some thousand rows.
"""

import argparse
import heapq
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.workloads import json_lines, sized, spec_of, tables
from kafka_client.clients import Connection, producer
from kafka_client.topics import create_topics

PARTITIONS = 4
ROWS = 5_000
"""Rows of an Arrow message: some 300 KB."""


def messages(topic: str, table: pa.Table, form: str) -> Iterator[tuple[int, str, int, bytes]]:
    """The messages of a source: the time of the last record in it, topic, partition and value."""
    time = np.asarray(table["ts"])
    rows = 1 if form == "json" else ROWS
    values = json_lines(table) if form == "json" else _streams(table)
    for number, value in enumerate(values):
        last = int(time[min((number + 1) * rows, len(time)) - 1])
        yield last, topic, number % PARTITIONS, value


def _streams(table: pa.Table) -> Iterator[bytes]:
    for start in range(0, table.num_rows, ROWS):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.slice(start, ROWS).combine_chunks())
        yield sink.getvalue().to_pybytes()


def publish(connection: Connection, records: dict[str, pa.Table], form: str) -> None:
    """Sends all as it would have come, a message after its last record, so that nothing is late.

    Raises what the broker says against it.
    """
    parts = [messages(topic, table, form) for topic, table in records.items()]
    with closing(producer(connection, compression=None)) as client:
        sent = [
            client.send(topic, value, partition=partition)
            for _, topic, partition, value in heapq.merge(*parts)
        ]
        client.flush(timeout=120)
        for future in sent:
            future.get(timeout=10)


def main() -> None:
    """Creates the topics and fills them, or writes the spec and leaves the topics empty."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap", help="HOST:PORT")
    parser.add_argument("spec", type=Path, help="where to write the spec")
    parser.add_argument("events", type=int, help="about how many; 0 only creates the topics")
    parser.add_argument("--form", choices=("json", "arrow"), default="json")
    given = parser.parse_args()
    connection = Connection(given.bootstrap)
    spec = spec_of(given.form)
    given.spec.write_text(json.dumps(spec))
    create_topics(connection, dict.fromkeys(spec["sources"], PARTITIONS))
    records = tables(sized(8, given.events)) if given.events else {}
    publish(connection, records, given.form)
    print(json.dumps({"events": sum(table.num_rows for table in records.values())}))


if __name__ == "__main__":
    main()
