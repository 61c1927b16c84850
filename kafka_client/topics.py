"""Topics and their offsets. Every call is bounded and raises KafkaUnavailable with one line.

End offsets are the last *stable* ones: what an open transaction has written lies beyond them. A
log has gaps (transaction markers, compaction), so a reader has reached an end offset when its
*position* has, not when it has seen the record before it.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import kafka
from kafka.errors import (
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from kafka.protocol.consumer import IsolationLevel, OffsetSpec

from kafka_client.clients import Connection, KafkaUnavailable, admin, explained

_READY_MS = 10_000


def broker_ids(connection: Connection) -> tuple[int, ...]:
    """The ids of the brokers that the cluster says are alive."""
    with _administrator(connection, "cannot describe the cluster") as client:
        return tuple(sorted(broker["broker_id"] for broker in client.describe_cluster()["brokers"]))


def create_topics(
    connection: Connection,
    topics: Mapping[str, int],
    settings: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Create the topics (name: number of partitions) that are missing, and wait for their leaders.

    `settings` are Kafka's topic settings. What exists is left as it is. Returns the names created.
    """
    with _administrator(connection, "cannot create topics", "Create") as client:
        created = [
            name for name, count in topics.items() if _create(client, name, count, settings or {})
        ]
        client.wait_for_topics(list(topics), timeout_ms=_READY_MS)
    return tuple(created)


def partitions_of(connection: Connection, topic: str, acl: str = "Describe") -> tuple[int, ...]:
    """The numbers of the topic's partitions, ascending.

    `acl` is what will be done with it, Read or Write: refused here where the broker says that it
    is not allowed.
    """
    with _administrator(connection, f"cannot look up topic {topic!r}", acl) as client:
        return _partitions(client, topic, acl)


def beginning_offsets(connection: Connection, topic: str) -> dict[int, int]:
    """The first offset still kept of each partition."""
    return _offsets(connection, topic, OffsetSpec.EARLIEST)


def end_offsets(connection: Connection, topic: str) -> dict[int, int]:
    """The offset after the last stable record of each partition."""
    return _offsets(connection, topic, OffsetSpec.LATEST)


def offsets_for_time(connection: Connection, topic: str, time_ms: int) -> dict[int, int]:
    """The first offset of each partition whose timestamp is at or after `time_ms` (Unix, ms).

    Where a partition holds none it is the end offset.
    """
    if time_ms < 0:
        raise ValueError(f"a time to start from is not before 1970: {time_ms} ms")
    found = _offsets(connection, topic, time_ms)
    if min(found.values()) >= 0:
        return found
    ends = end_offsets(connection, topic)
    return {part: offset if offset >= 0 else ends[part] for part, offset in found.items()}


def _create(
    client: kafka.KafkaAdminClient, name: str, count: int, settings: Mapping[str, str]
) -> bool:
    # kafka-python's own error quotes the whole request; the broker's message is enough.
    (result,) = client.create_topics(
        {name: {"num_partitions": count, "configs": dict(settings)}}, raise_errors=False
    )["topics"]
    error = for_code(result["error_code"])
    if error is TopicAuthorizationFailedError:
        raise error(name)
    if error is NoError or error is TopicAlreadyExistsError:
        return error is NoError
    reason = result["error_message"] or error.__name__
    raise KafkaUnavailable(f"cannot create topic {name!r} at {_where(client)}: {reason}")


def _where(client: kafka.KafkaAdminClient) -> str:
    return ",".join(client.config["bootstrap_servers"])


def _partitions(
    client: kafka.KafkaAdminClient, topic: str, acl: str = "Describe"
) -> tuple[int, ...]:
    (described,) = client.describe_topics([topic])
    allowed = described["authorized_operations"]  # none from a broker that does not say
    error = for_code(described["error_code"])
    if error is TopicAuthorizationFailedError or (allowed and acl.upper() not in allowed):
        raise TopicAuthorizationFailedError(topic)
    if error is not NoError:
        reason = error.__name__
        if reason == "UnknownTopicOrPartitionError":
            reason = f"it does not exist; there are: {_known(client)}"
        raise KafkaUnavailable(f"topic {topic!r} at {_where(client)}: {reason}")
    return tuple(sorted(part["partition_index"] for part in described["partitions"]))


def _known(client: kafka.KafkaAdminClient) -> str:
    names = sorted(name for name in client.list_topics() if not name.startswith("__"))
    shown = names[:10] + (["…"] if len(names) > 10 else [])
    return ", ".join(shown) or "no topics"


def _offsets(connection: Connection, topic: str, wanted: Any) -> dict[int, int]:
    with _administrator(connection, f"cannot look up offsets of topic {topic!r}") as client:
        wanted_of = {
            kafka.TopicPartition(topic, partition): wanted
            for partition in _partitions(client, topic)
        }
        found = client.list_partition_offsets(
            wanted_of, isolation_level=IsolationLevel.READ_COMMITTED
        )
        return {place.partition: int(found[place].offset) for place in sorted(found)}


@contextmanager
def _administrator(
    connection: Connection, doing: str, acl: str = "Describe"
) -> Iterator[kafka.KafkaAdminClient]:
    with closing(admin(connection)) as client, explained(connection, doing, acl):
        yield client
