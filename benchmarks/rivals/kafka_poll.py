"""The rival of reading: the Kafka client's bare poll loop, which looks at nothing that it gets.

    python -m benchmarks.rivals.kafka_poll HOST:PORT TOPIC…

Large polls, no checksums, no group, no commits, and transactions not waited for: what costs least.
"""

import argparse
import json
import time
from contextlib import closing

from kafka import TopicPartition

from kafka_client.clients import Connection, consumer
from kafka_client.topics import end_offsets

POLL_RECORDS = 10_000
LIMIT_S = 600


def polled(connection: Connection, topics: list[str]) -> tuple[int, int]:
    """Polls all that the topics hold now; the number of messages and of bytes of their values."""
    ends = {
        TopicPartition(topic, partition): end
        for topic in topics
        for partition, end in end_offsets(connection, topic).items()
    }
    messages = size = 0
    missing = sum(ends.values())
    until = time.monotonic() + LIMIT_S
    with closing(
        consumer(
            connection,
            max_poll_records=POLL_RECORDS,
            check_crcs=False,
            isolation_level="read_uncommitted",
        )
    ) as client:
        client.assign(list(ends))
        client.seek_to_beginning()
        while messages < missing:
            if time.monotonic() > until:
                raise TimeoutError(f"{messages} of {missing} messages after {LIMIT_S} s")
            for records in client.poll(timeout_ms=1000).values():
                messages += len(records)
                size += sum(len(record.value) for record in records)
    return messages, size


def main() -> None:
    """Prints messages, bytes and seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap", help="HOST:PORT")
    parser.add_argument("topics", nargs="+")
    given = parser.parse_args()
    begun = time.perf_counter()
    messages, size = polled(Connection(given.bootstrap), given.topics)
    seconds = time.perf_counter() - begun
    print(json.dumps({"messages": messages, "bytes": size, "seconds": seconds}))


if __name__ == "__main__":
    main()
