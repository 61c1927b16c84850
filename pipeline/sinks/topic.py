"""The sequence topic: sequences and tombstones to Kafka, each message confirmed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from kafka_client.clients import Connection
from pipeline.sinks.messages import Message, halves, messages, partition_of
from pipeline.sinks.sending import Sending
from schemas.outputs import REJECTED
from schemas.sequences import MS
from transforms.coders import whole
from transforms.core.arrays import ints
from transforms.core.decode.reject import Reason
from transforms.measures import Stopwatch, count, observe


class _ToTopic(beam.DoFn):  # type: ignore[misc]
    """Sends messages and, before a bundle ends, waits until the broker has them all.

    What the broker does not take, and takes in no smaller part, is given as rows of REJECTED.
    """

    stage = "send"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def setup(self) -> None:
        """Once a worker; the topic must exist."""
        self._sending = Sending(self._connection)

    def start_bundle(self) -> None:
        """What a bundle that failed left on its way is not waited for."""
        self._sending.begin_bundle()

    def finish_bundle(self) -> Iterator[Any]:
        """Waits until everything is confirmed."""
        window = GlobalWindow()
        for rows in self._refused():
            yield WindowedValue(rows, window.max_timestamp(), [window])

    def teardown(self) -> None:
        """Closes the producer."""
        self._sending.begin_anew()

    def _send(self, what: Any) -> None:
        """Sends a message."""
        raise NotImplementedError

    def _parts(self, refused: Any) -> list[Any]:
        """A message that was refused as several smaller ones, none where that cannot be."""
        return []

    def _reject(self, refused: Any) -> dict[str, Any]:
        """A message that was refused as a row of REJECTED."""
        raise NotImplementedError

    def _refused(self) -> Iterator[pa.RecordBatch]:
        rejects = [row for refused in self._confirm() for row in self._alone(refused)]
        if rejects:
            count("rejected", len(rejects), "", Reason.TOO_LARGE)
            yield whole(pa.Table.from_pylist(rejects, schema=REJECTED))

    def _alone(self, refused: Any) -> Iterator[dict[str, Any]]:
        """Sends a message that was refused again, by itself, and if it is too large in parts.
        Gives the rejects of what is too large alone."""
        self._send(refused)
        if not self._confirm():
            return
        parts = self._parts(refused)
        if not parts:
            yield self._reject(refused)
        for part in parts:
            yield from self._alone(part)

    def _confirm(self) -> list[Any]:
        """Waits for all that was sent, and gives what the broker has not got."""
        with Stopwatch() as watch:
            refused = self._sending.confirm()
        observe("stage_us", watch.us, self.stage)
        return refused


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(pa.RecordBatch)
class WriteToTopic(_ToTopic):
    """Sends sequences; gives back those that are too large for the broker."""

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Sends a batch, and waits when much is on its way."""
        watch = Stopwatch()
        for message in watch.items(messages(batch, self._sending.partitions)):
            self._send(message)
            if self._sending.is_full:
                yield from self._refused()
        observe("stage_us", watch.us, "pack")

    def _send(self, what: Message) -> None:
        observe("message_sequences", what.count)
        observe("message_bytes", len(what.value))
        self._sending.send(
            what,
            len(what.value),
            value=what.value,
            partition=what.partition,
            headers=what.headers,
        )

    def _parts(self, refused: Message) -> list[Message]:
        return [*halves(refused)] if refused.count > 1 else []

    def _reject(self, refused: Message) -> dict[str, Any]:
        row = refused.rows.select(["sequence_id", "session_end"])
        detail = f"a sequence of {len(refused.value)} bytes is more than the broker takes"
        return {
            "raw": row["sequence_id"][0].as_py().encode(),
            "reason": Reason.TOO_LARGE,
            "detail": detail,
            "event_time": row["session_end"].cast(MS)[0].as_py(),
        }


@dataclass(frozen=True, slots=True)
class _Tombstone:
    """The erasure of a user at a time, ms."""

    user: bytes
    time: int


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(pa.RecordBatch)
class TombstonesToTopic(_ToTopic):
    """Sends tombstones: a null under the user's key, with the time of the erasure in a header.
    Gives back those whose user is too large for the broker."""

    stage = "send_tombstones"

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Sends a batch of tombstones, and waits when much is on its way."""
        times = ints(batch["time"].cast(pa.int64()))
        for user, time in zip(batch["user_id"].to_pylist(), times.tolist(), strict=True):
            self._send(_Tombstone(user.encode(), time))
            if self._sending.is_full:
                yield from self._refused()

    def _send(self, what: _Tombstone) -> None:
        self._sending.send(
            what,
            len(what.user),
            key=what.user,
            value=None,
            partition=partition_of(what.user.decode(), self._sending.partitions),
            headers=[("phia-time", str(what.time).encode())],
        )

    def _reject(self, refused: _Tombstone) -> dict[str, Any]:
        size = len(refused.user)
        return {
            "raw": refused.user,
            "reason": Reason.TOO_LARGE,
            "detail": f"a tombstone of a user of {size} bytes is more than the broker takes",
            "event_time": datetime.fromtimestamp(refused.time / 1000, UTC),
        }
