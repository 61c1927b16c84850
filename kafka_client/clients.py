"""Kafka clients with the settings that this pipeline needs, and errors that say what is wrong."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import kafka
from kafka.errors import KafkaError

from kafka_client.reasons import Reasons, reason_of
from kafka_client.secrets import Secret
from kafka_client.security import SECRETS, checked_security, client_options, without_secrets
from kafka_client.url import split_url
from schemas.failures import Failure

BOOTSTRAP_MS = 8_000
REQUEST_MS = 10_000
# kafka-python slows down with the size of a response. Measured with 400 KB messages in 16
# partitions: 310 MB/s with 4 MB a response, 140 MB/s with Kafka's 50 MB.
FETCH_BYTES = 4 * 1024 * 1024
# 900 KB messages fill a batch of their own; smaller ones share one well below the broker's
# 1 MB limit: kafka-python fails where the broker makes it split a batch.
BATCH_BYTES = 512 * 1024

# At DEBUG these log the bytes that are sent, the password of SASL PLAIN among them.
_TELL_BYTES = ("kafka.protocol.parser", "kafka.net.connection")

Client = TypeVar("Client", kafka.KafkaConsumer, kafka.KafkaProducer, kafka.KafkaAdminClient)


class KafkaUnavailable(Failure):
    """Kafka cannot be reached, refuses us or lacks the topic; the message is one line."""


@dataclass(frozen=True)
class Connection:
    """Where a Kafka cluster is and how to prove who we are; safe to print and to pickle.

    `bootstrap` is "HOST:PORT[,HOST:PORT…]"; `security` has kafka-python's options by name
    (`security_protocol`, `ssl_…`, `sasl_…`), as `checked_security` gives them: secrets by
    reference; `topic` is the one the URL named, if any. ValueError for a secret in clear.
    """

    bootstrap: str
    security: Mapping[str, Any] = field(default_factory=dict, repr=False)
    topic: str | None = None

    def __post_init__(self) -> None:
        for name in SECRETS:
            if not isinstance(self.security.get(name), Secret | None):
                raise ValueError(f"{name} must be given as a Secret")

    @classmethod
    def from_url(cls, url: str, security: Mapping[str, Any] | None = None) -> "Connection":
        """From "kafka://HOST:PORT[,HOST:PORT…][/TOPIC]"; ValueError says what is wrong."""
        bootstrap, topic = split_url(url)
        return cls(bootstrap, checked_security(security or {}), topic)


def consumer(connection: Connection, **settings: Any) -> kafka.KafkaConsumer:
    """A consumer without a subscription that commits only when asked and starts at the earliest.

    Only committed transactions are seen, so an end offset is the last stable one. `settings` are
    kafka-python's and win. Raises KafkaUnavailable within about ten seconds.
    """
    chosen = {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "fetch_max_bytes": FETCH_BYTES,
        "max_partition_fetch_bytes": FETCH_BYTES // 2,
        "metrics_enabled": False,
        **settings,
    }
    return _connected(kafka.KafkaConsumer, connection, chosen)


def producer(
    connection: Connection, compression: str | None = "zstd", **settings: Any
) -> kafka.KafkaProducer:
    """An idempotent producer that waits for every replica; None turns `compression` off.

    It is of no more use after an error that cannot be retried (a message too large): make a new
    one. `settings` are kafka-python's and win. Raises KafkaUnavailable within about ten seconds.
    """
    chosen = {
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": compression,
        "batch_size": BATCH_BYTES,
        "linger_ms": 5,
        "max_block_ms": REQUEST_MS,
        "allow_auto_create_topics": False,
        **settings,
    }
    return _connected(kafka.KafkaProducer, connection, chosen)


def admin(connection: Connection) -> kafka.KafkaAdminClient:
    """An administrator; close it. Raises KafkaUnavailable within about ten seconds."""
    return _connected(kafka.KafkaAdminClient, connection, {"request_timeout_ms": REQUEST_MS})


@contextmanager
def explained(connection: Connection, doing: str, acl: str = "Describe") -> Iterator[None]:
    """Turn kafka-python's errors into KafkaUnavailable: what we were `doing`, where, and why.

    `acl` is the operation on a topic that must be allowed for it.
    """
    with Reasons() as reasons:
        try:
            yield
        except (KafkaError, OSError) as error:
            reason = reason_of(error, reasons.last, connection.security, acl)
            text = f"{doing} at {connection.bootstrap}: {reason}"
            line = " ".join(without_secrets(text, connection.security).split())
            raise KafkaUnavailable(line) from error


def _connected(
    make: Callable[..., Client], connection: Connection, settings: Mapping[str, Any]
) -> Client:
    security = _client_options(connection)
    network: list[Any] = []

    def remembered(**configuration: Any) -> Any:
        network.append(kafka.KafkaConsumer.DEFAULT_CONFIG["kafka_client"](**configuration))
        return network[0]

    try:
        with explained(connection, "cannot connect to Kafka"):
            return make(
                **{
                    "bootstrap_servers": connection.bootstrap.split(","),
                    "bootstrap_timeout_ms": BOOTSTRAP_MS,
                    "reconnect_backoff_max_ms": 500,
                    **security,
                    **settings,
                    "kafka_client": remembered,
                }
            )
    except KafkaUnavailable:
        # A client that fails to be made leaves its network thread behind.
        for client in network:
            client.close()
            client._net.stop()
        raise


def _client_options(connection: Connection) -> dict[str, Any]:
    for name in _TELL_BYTES:
        logging.getLogger(name).addFilter(_above_debug)
    try:
        return client_options(connection.security)
    except ValueError as error:
        raise KafkaUnavailable(
            f"cannot connect to Kafka at {connection.bootstrap}: {error}"
        ) from None


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG
