"""The sequence topic: sequences and tombstones to Kafka, each message confirmed."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue
from kafka.errors import MessageSizeTooLargeError

from kafka_client.clients import Connection, KafkaUnavailable, explained, producer
from kafka_client.topics import partitions_of
from pipeline.sinks.messages import Message, halves, messages, partition_of
from schemas.outputs import REJECTED
from schemas.sequences import MS
from transforms.coders import whole
from transforms.core.arrays import ints
from transforms.core.decode.reject import Reason

UNCONFIRMED_BYTES = 32 << 20
"""Most bytes sent and not yet confirmed: what a worker holds while the broker is away."""

CONFIRM_S = 120.0


class _ToTopic(beam.DoFn):  # type: ignore[misc]
    """Sends messages and, before a bundle ends, waits until the broker has them all."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def setup(self) -> None:
        """One producer a worker; the topic must exist."""
        self._partitions = len(partitions_of(self._connection, str(self._connection.topic)))
        self._producer = producer(self._connection, max_request_size=_REQUEST_BYTES)

    def start_bundle(self) -> None:
        """Nothing is on its way yet."""
        self._sent: list[tuple[Any, Any]] = []
        self._bytes = 0

    def teardown(self) -> None:
        """Closes the producer."""
        self._producer.close(timeout=10)

    def _send(self, what: Any, size: int, **message: Any) -> None:
        with explained(self._connection, f"cannot write to topic {self._connection.topic!r}"):
            future = self._producer.send(self._connection.topic, **message)
        self._sent.append((what, future))
        self._bytes += size

    def _confirm(self) -> list[Any]:
        """Waits for all that was sent, and gives what was refused: as too large, or because
        something beside it was."""
        refused = []
        with explained(self._connection, f"cannot write to topic {self._connection.topic!r}"):
            self._producer.flush(timeout=CONFIRM_S)
            for what, future in self._sent:
                try:
                    future.get(timeout=CONFIRM_S)
                except MessageSizeTooLargeError:
                    refused.append(what)
        self.start_bundle()
        if refused:
            # After an error that can't be retried an idempotent producer sends nothing any more.
            self._producer.close(timeout=10)
            self.setup()
        return refused


_REQUEST_BYTES = 64 << 20


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(pa.RecordBatch)
class WriteToTopic(_ToTopic):
    """Sends sequences; gives back, as rows of REJECTED, those that are too large for the broker."""

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Sends a batch, and waits when much is on its way."""
        for message in messages(batch, self._partitions):
            self._send_message(message)
            if self._bytes > UNCONFIRMED_BYTES:
                yield from self._refused()

    def finish_bundle(self) -> Iterator[Any]:
        """Waits until everything is confirmed."""
        window = GlobalWindow()
        for rows in self._refused():
            yield WindowedValue(rows, window.max_timestamp(), [window])

    def _refused(self) -> Iterator[pa.RecordBatch]:
        rejects = [row for message in self._confirm() for row in self._alone(message)]
        if rejects:
            yield whole(pa.Table.from_pylist(rejects, schema=REJECTED))

    def _alone(self, message: Message) -> Iterator[dict[str, Any]]:
        """Sends a message that was refused again, by itself, and if it is too large in halves.
        Gives the rejects of sequences that are too large alone."""
        self._send_message(message)
        if not self._confirm():
            return
        if message.rows.num_rows == 1:
            yield _reject(message)
            return
        for half in halves(message):
            yield from self._alone(half)

    def _send_message(self, message: Message) -> None:
        self._send(
            message,
            len(message.value),
            value=message.value,
            partition=message.partition,
            headers=message.headers,
        )


@beam.typehints.with_input_types(pa.RecordBatch)
class TombstonesToTopic(_ToTopic):
    """Sends tombstones: a null under the user's key, with the time of the erasure in a header."""

    def process(self, batch: pa.RecordBatch) -> None:
        """Sends a batch of tombstones."""
        times = ints(batch["time"].cast(pa.int64()))
        for user, time in zip(batch["user_id"].to_pylist(), times.tolist(), strict=True):
            self._send(
                user,
                len(user),
                key=user.encode(),
                value=None,
                partition=partition_of(user, self._partitions),
                headers=[("phia-time", str(time).encode())],
            )

    def finish_bundle(self) -> None:
        """Waits until everything is confirmed."""
        for user in self._confirm():
            where = f"topic {self._connection.topic!r}"
            raise KafkaUnavailable(
                f"{where} refuses the tombstone of a user of {len(user)} letters"
            )


def _reject(message: Message) -> dict[str, Any]:
    row = message.rows.select(["sequence_id", "session_end"])
    detail = f"a sequence of {len(message.value)} bytes is more than the broker takes"
    return {
        "raw": row["sequence_id"][0].as_py().encode(),
        "reason": Reason.TOO_LARGE,
        "detail": detail,
        "event_time": row["session_end"].cast(MS)[0].as_py(),
    }
