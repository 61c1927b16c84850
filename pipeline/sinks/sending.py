"""Messages on their way to a topic, held until the broker has confirmed them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from kafka_client.clients import Connection, KafkaUnavailable, explained, producer
from kafka_client.topics import partitions_of

UNCONFIRMED_BYTES = 32 << 20
"""Bytes sent and not yet confirmed after which a sender waits: what the broker's absence holds."""

CONFIRM_S = 120.0
"""How long an absence of the broker is waited out before it is an error."""

CLOSE_S = 5.0
REQUEST_BYTES = 64 << 20

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message, what it was sent for, and its future, or the error that kept it from going."""

    what: Any
    future: Any = None
    error: KafkaError | None = None


class Sending:
    """Sends to the topic of a connection, which must exist, else KafkaUnavailable. After an error
    it begins anew: nothing of what was on its way then is known of, or held, any more."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._topic = str(connection.topic)
        self._producer: KafkaProducer | None = None
        self._sent: list[_Sent] = []
        self._bytes = 0
        self.partitions = len(partitions_of(connection, self._topic, "Write"))

    @property
    def is_full(self) -> bool:
        """Whether so much is on its way that it is time to confirm."""
        return self._bytes >= UNCONFIRMED_BYTES

    def send(self, what: Any, size: int, **message: Any) -> None:
        """Sends a message of `size` bytes for `what`; raises KafkaUnavailable."""
        with self._explained():
            if self._producer is None:
                self._producer = producer(self._connection, max_request_size=REQUEST_BYTES)
            try:
                sent = _Sent(what, self._producer.send(self._topic, **message))
            except _TOO_LARGE as error:
                sent = _Sent(what, error=error)
        self._sent.append(sent)
        self._bytes += size

    def confirm(self) -> list[Any]:
        """Waits until the broker has all that was sent, and gives what it has not got because it,
        or something beside it, was too large. Raises KafkaUnavailable for any other reason."""
        deadline = time.monotonic() + CONFIRM_S
        failed: list[Any] = []
        errors: list[KafkaError] = []
        with self._explained():
            for sent in self._sent:
                error = _failure(sent, deadline)
                if isinstance(error, KafkaTimeoutError):
                    raise error
                if error is not None:
                    failed.append(sent.what)
                    errors.append(error)
            # What is sent beside a message that is too large fails with it, for any reason.
            if errors and not any(isinstance(error, _TOO_LARGE) for error in errors):
                raise errors[0]
        self._sent, self._bytes = [], 0
        if failed:
            self.begin_anew()  # an idempotent producer sends nothing any more after such an error
        return failed

    def begin_bundle(self) -> None:
        """Begins anew where something is on its way still, of a bundle that failed elsewhere."""
        if self._sent:
            self.begin_anew()

    def begin_anew(self) -> None:
        """Gives up what is on its way, and the producer that holds it."""
        self._sent, self._bytes = [], 0
        giving_up, self._producer = self._producer, None
        if giving_up is not None:
            # close() alone raises where the broker is away, and leaves a thread that goes on.
            giving_up._sender.force_close()
            giving_up._sender.join(CLOSE_S)
            with suppress(KafkaTimeoutError):
                giving_up.close(timeout=CLOSE_S)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with explained(self._connection, f"cannot write to topic {self._topic!r}", "Write"):
                yield
        except KafkaUnavailable:
            self.begin_anew()
            raise


def _failure(sent: _Sent, deadline: float) -> KafkaError | None:
    if sent.error is not None:
        return sent.error
    try:
        sent.future.get(timeout=max(deadline - time.monotonic(), 0))
    except KafkaError as error:
        return error
    return None
