"""Publishes the example's records to Kafka in the order of their times, one JSON message each.

    python -m examples.movielens.one_pass.publish HOST:PORT [--input FOLDER] [--rate 4000]

The topics are those of the spec's sources; a message has its record's time as Kafka's timestamp, as
it would have had then. Two years go by in two minutes, so a partition may be hours ahead of another
for a moment. Therefore each gets a tick now and then, a record that observes nothing but the time,
and the stream's spec takes no partition for idle. The last ticks are a day later than all: by them
the last sessions are known to be complete.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
from kafka import KafkaProducer

from kafka_client.clients import Connection, producer
from kafka_client.topics import create_topics
from schemas.ids import bucket_of

Record = dict[str, Any]

PARTITIONS = {"ratings": 2, "users": 1}
KEPT = {"retention.ms": "-1"}
"""By their timestamps all are older than what Kafka keeps by default."""
DAY_S = 86_400
CHUNK = 400
"""Records between two ticks."""


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


class Sending:
    """A client that sends to the topics, and counts."""

    def __init__(self, client: KafkaProducer) -> None:
        self._client = client
        self.count = 0

    def send(self, topic: str, partition: int, time_s: int, record: Record) -> None:
        """Sends one message."""
        value = json.dumps(record).encode()
        self._client.send(topic, value, partition=partition, timestamp_ms=time_s * 1000)
        self.count += 1

    def tick(self, time_s: int) -> None:
        """Tells every partition the time, and waits until all is there."""
        for topic, count in PARTITIONS.items():
            for partition in range(count):
                record = {"user": 0, "timestamp": time_s, "since": time_s}
                self.send(topic, partition, time_s, record)
        self._client.flush(timeout=120)


def publish(connection: Connection, folder: Path, rate: float) -> int:
    """Sends all, so many records a second; the number of messages. The topics must be there.
    Raises what the broker says against it, and FileNotFoundError where the folder has no input."""
    begun, last = time.monotonic(), 0
    with closing(producer(connection)) as client:
        sending = Sending(client)
        for number, (topic, last, record) in enumerate(records(folder), 1):
            sending.send(topic, bucket_of(str(record["user"]), PARTITIONS[topic]), last, record)
            if number % CHUNK == 0:
                sending.tick(last)
                time.sleep(max(begun + number / rate - time.monotonic(), 0))
        sending.tick(last + DAY_S)
    return sending.count


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bootstrap", help="HOST:PORT")
    parser.add_argument("--input", type=Path, default=Path("out/movielens/input"))
    parser.add_argument("--rate", type=float, default=4_000.0, help="records a second")
    parser.add_argument("--topics", action="store_true", help="only make the topics")
    given = parser.parse_args()
    connection = Connection(given.bootstrap)
    create_topics(connection, PARTITIONS, KEPT)
    count = 0 if given.topics else publish(connection, given.input, given.rate)
    sys.stdout.write(f"{count:,} messages\n")


if __name__ == "__main__":
    main()
