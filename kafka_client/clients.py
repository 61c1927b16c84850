"""Kafka clients with the settings that this pipeline needs, and errors that say what is wrong."""

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import kafka
from kafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
)

from kafka_client.security import checked_security, without_secrets
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

_BACKOFF = re.compile(r" \(backoff [\d.]+ secs\)$")
_NUMBERED = re.compile(r"\b(\d+) E[A-Z]{3,}\b")
# Errors of kafka-python that tell only that, not why, nothing came back.
_SILENT = (KafkaTimeoutError, KafkaConnectionError, NodeNotReadyError)
# The broker's reason is lost in kafka-python where it arrives together with the end of the stream.
_HUNG_UP = " by the broker: check security_protocol, and the user and password if it asks for them"
_REFUSALS = ("Authentication", "Handshake", "Sasl", "SSL", "Authorization")

Client = TypeVar("Client", kafka.KafkaConsumer, kafka.KafkaProducer, kafka.KafkaAdminClient)


class KafkaUnavailable(Failure):
    """Kafka cannot be reached, refuses us or lacks the topic; the message is one line."""


@dataclass(frozen=True)
class Connection:
    """Where a Kafka cluster is and how to prove who we are; safe to print and to pickle.

    `bootstrap` is "HOST:PORT[,HOST:PORT…]"; `security` has kafka-python's options by name
    (`security_protocol`, `ssl_…`, `sasl_…`); `topic` is the one the URL named, if any.
    """

    bootstrap: str
    security: Mapping[str, Any] = field(default_factory=dict, repr=False)
    topic: str | None = None

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
def explained(connection: Connection, doing: str) -> Iterator[None]:
    """Turn kafka-python's errors into KafkaUnavailable: what we were `doing`, where, and why.

    kafka-python says why only in its log, so that is listened to meanwhile.
    """
    with _Reasons() as reasons:
        try:
            yield
        except (KafkaError, OSError) as error:
            reason = reasons.last if isinstance(error, _SILENT) else ""
            if "socket disconnected" in reason:
                reason += _HUNG_UP
            text = f"{doing} at {connection.bootstrap}: {reason or error}"
            line = " ".join(without_secrets(text, connection.security).split())
            raise KafkaUnavailable(line) from error


def _connected(
    make: Callable[..., Client], connection: Connection, settings: Mapping[str, Any]
) -> Client:
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
                    **connection.security,
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


class _Reasons(logging.Handler):
    """Listens to kafka-python's network log for the most telling reason of a failure."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what follows "failed:", unless a refusal by the broker is known already.

        A refused client is often cut off without a word at its next attempts.
        """
        _, failed, reason = record.getMessage().partition("failed: ")
        reason = _NUMBERED.sub(lambda match: os.strerror(int(match[1])), _BACKOFF.sub("", reason))
        known = any(sign in self.last for sign in _REFUSALS)
        if failed and "Unable to bootstrap" not in reason and not known:
            self.last = reason

    def __enter__(self) -> "_Reasons":
        logging.getLogger("kafka.net").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("kafka.net").removeHandler(self)
