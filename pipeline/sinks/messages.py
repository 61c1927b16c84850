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
    """One message: its partition, value, and headers; the rows are for a refusal's report."""

    partition: int
    value: bytes
    headers: list[tuple[str, bytes]]
    rows: pa.RecordBatch


def messages(batch: pa.RecordBatch, partitions: int) -> Iterator[Message]:
    """The sequences of a batch as messages, each under MESSAGE_BYTES unless one is larger."""
    users = batch["user_id"].to_pylist()
    partition = np.array([bucket_of(user, partitions) for user in users])
    for number in np.unique(partition).tolist():
        yield from _packed(batch.take(np.flatnonzero(partition == number)), number)


def partition_of(user: str, partitions: int) -> int:
    """The partition of a user's sequences and tombstones, the same for ever."""
    return bucket_of(user, partitions)


def _packed(rows: pa.RecordBatch, partition: int) -> Iterator[Message]:
    value = encode_batch(rows, compression="zstd")
    if len(value) < MESSAGE_BYTES or rows.num_rows == 1:
        yield Message(partition, value, _headers(rows), rows)
        return
    half = rows.num_rows // 2
    for part in (range(half), range(half, rows.num_rows)):
        yield from _packed(rows.take(pa.array(part)), partition)


def _headers(rows: pa.RecordBatch) -> list[tuple[str, bytes]]:
    return [
        ("phia-spec", rows["spec"][0].as_py().encode()),
        ("phia-rows", str(rows.num_rows).encode()),
        ("phia-schema", VERSION.encode()),
    ]
