"""Publishes the example's records to Kafka in the order of their times, one JSON message each.

    python -m examples.movielens.one_pass.publish HOST:PORT [--input out/movielens/input]

The topics are those of the spec's sources; a message has its record's time as Kafka's timestamp, as
it would have had then. At the end each partition gets a record that observes nothing, a day later:
by it the last sessions are known to be complete.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl

from kafka_client.clients import Connection, producer
from kafka_client.topics import create_topics
from schemas.ids import bucket_of

Record = dict[str, Any]

PARTITIONS = {"ratings": 2, "users": 1}
DAY_S = 86_400
FLUSH_EVERY = 10_000
KEPT = {"retention.ms": "-1"}
"""By their timestamps all are older than what Kafka keeps by default."""


def records(folder: Path) -> Iterator[tuple[str, int, Record]]:
    """Topic, time in s, and record, in order of time; who a user is comes before what he does."""
    ratings = pl.read_parquet(folder / "ratings.parquet").sort("timestamp", "row")
    users = pl.read_csv(folder / "users.csv", infer_schema=False)
    users = users.with_columns(pl.col("user", "since").cast(pl.Int64)).sort("since", "user")
    waiting = list(reversed(users.to_dicts()))
    for rating in ratings.iter_rows(named=True):
        while waiting and waiting[-1]["since"] <= rating["timestamp"]:
            user = waiting.pop()
            yield "users", user["since"], user
        yield "ratings", rating["timestamp"], rating


def publish(connection: Connection, folder: Path) -> int:
    """Sends all, and what closes the last sessions; the number of messages. Raises what the broker
    says against it, and FileNotFoundError where the folder has no input."""
    create_topics(connection, PARTITIONS, KEPT)
    sent, last = 0, 0
    with closing(producer(connection)) as client:

        def send(topic: str, partition: int, time: int, record: Record) -> None:
            value = json.dumps(record).encode()
            client.send(topic, value, partition=partition, timestamp_ms=time * 1000)

        for topic, time, record in records(folder):
            send(topic, bucket_of(str(record["user"]), PARTITIONS[topic]), time, record)
            sent, last = sent + 1, time
            if sent % FLUSH_EVERY == 0:
                client.flush(timeout=120)
        for topic, count in PARTITIONS.items():
            for partition in range(count):
                later = last + DAY_S
                send(topic, partition, later, {"user": 0, "timestamp": later, "since": later})
        client.flush(timeout=120)
    return sent + sum(PARTITIONS.values())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bootstrap", help="HOST:PORT")
    parser.add_argument("--input", type=Path, default=Path("out/movielens/input"))
    given = parser.parse_args()
    count = publish(Connection(given.bootstrap), given.input)
    sys.stdout.write(f"{count:,} messages\n")


if __name__ == "__main__":
    main()
