"""Sequences as messages of the sequence topic: Arrow IPC streams of many rows of one partition."""

from collections.abc import Iterator
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
    """One message: its partition, value, and headers; the rows are for a broker that refuses it."""

    partition: int
    value: bytes
    headers: list[tuple[str, bytes]]
    rows: pa.RecordBatch


def messages(batch: pa.RecordBatch, partitions: int) -> Iterator[Message]:
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
    half = message.rows.num_rows // 2
    for part in (range(half), range(half, message.rows.num_rows)):
        yield _message(message.rows.take(pa.array(part)), message.partition)


def _packed(rows: pa.RecordBatch, partition: int) -> Iterator[Message]:
    message = _message(rows, partition)
    if len(message.value) < MESSAGE_BYTES or rows.num_rows == 1:
        yield message
        return
    for part in halves(message):
        yield from _packed(part.rows, partition)


def _message(rows: pa.RecordBatch, partition: int) -> Message:
    return Message(partition, encode_batch(rows, compression="zstd"), _headers(rows), rows)


def _headers(rows: pa.RecordBatch) -> list[tuple[str, bytes]]:
    return [
        ("phia-spec", rows["spec"][0].as_py().encode()),
        ("phia-rows", str(rows.num_rows).encode()),
        ("phia-schema", VERSION.encode()),
    ]
