"""Sequences as messages of the sequence topic: Arrow IPC streams of many rows of one partition."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.codec import encode_batch
from schemas.ids import bucket_of
from schemas.sequences import VERSION

MESSAGE_BYTES = 900_000
"""Most bytes of a message that holds more than one sequence."""


@dataclass(frozen=True)
class Message:
    """One message of `count` sequences: its partition, value, and headers."""

    partition: int
    value: bytes
    headers: list[tuple[str, bytes]]
    count: int

    @property
    def rows(self) -> pa.RecordBatch:
        """The sequences, read back: kept beside the value they would be the larger part."""
        return pa.ipc.open_stream(self.value).read_next_batch()


def messages(batch: pa.RecordBatch, partitions: int) -> Generator[Message, None, None]:
    """The sequences of a batch as messages, each under MESSAGE_BYTES unless one is larger."""
    users = batch["user_id"].to_pylist()
    partition = np.array([partition_of(user, partitions) for user in users])
    for number in np.unique(partition).tolist():
        yield from _packed(batch.take(np.flatnonzero(partition == number)), number)


def partition_of(user: str, partitions: int) -> int:
    """The partition of a user's sequences and tombstones, the same for ever."""
    return bucket_of(user, partitions)


def halves(message: Message) -> Iterator[Message]:
    """A message of more than one sequence as two."""
    rows, half = message.rows, message.count // 2
    yield from (_message(part, message.partition) for part in (rows[:half], rows[half:]))


def _packed(rows: pa.RecordBatch, partition: int) -> Iterator[Message]:
    message = _message(rows, partition)
    if len(message.value) < MESSAGE_BYTES or rows.num_rows == 1:
        yield message
        return
    half = rows.num_rows // 2
    for part in (rows[:half], rows[half:]):
        yield from _packed(part, partition)


def _message(rows: pa.RecordBatch, partition: int) -> Message:
    value = encode_batch(rows, compression="zstd")
    return Message(partition, value, _headers(rows), rows.num_rows)


def _headers(rows: pa.RecordBatch) -> list[tuple[str, bytes]]:
    return [
        ("phia-spec", rows["spec"][0].as_py().encode()),
        ("phia-rows", str(rows.num_rows).encode()),
        ("phia-schema", VERSION.encode()),
    ]
