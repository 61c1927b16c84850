"""How much the messages of an Arrow IPC stream claim to hold, before any is believed.

Arrow makes room for what a compressed buffer claims to be and then fills it, so that a small
message could fill the memory. Each such buffer begins with its claim, an int64 (-1: it is as it
stands). Where the buffers are is in a message's metadata, a flatbuffer that Arrow has verified:
https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

_HEADER, _METADATA = 2, 4  # of Message
_NODES, _BUFFERS, _COMPRESSION = 1, 2, 3  # of RecordBatch
_DATA = 1  # of DictionaryBatch
_AS_IT_STANDS = -1


def uncompressed_bytes(stream: bytes) -> int:
    """The bytes of all buffers of a stream when they are uncompressed. Raises pa.ArrowException
    or struct.error for what is no stream, ValueError for a negative claim."""
    return sum(claims(stream))


def claims(stream: bytes | pa.Buffer, value_bytes: int = 0) -> Iterator[int]:
    """For each message of a stream the bytes of its buffers when they are uncompressed, and
    `value_bytes` for each value of each array: nulls, and what is empty, need no buffer. Raises
    as above, after what came before."""
    for message in _messages(stream):
        yield _buffers(message) + value_bytes * _values(message)


def _messages(stream: bytes | pa.Buffer) -> Iterator[pa.ipc.Message]:
    reader = pa.ipc.MessageReader.open_stream(stream)
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


def _buffers(message: pa.ipc.Message) -> int:
    batch = _batch(message)
    return 0 if batch is None else sum(_sizes(batch, message.body))


def _sizes(batch: "_Table", body: pa.Buffer) -> Iterator[int]:
    """The size of each buffer of a record or dictionary batch."""
    compressed = batch.table(_COMPRESSION) is not None
    for offset, length in batch.pairs(_BUFFERS):
        claim = _AS_IT_STANDS
        if compressed and length:
            (claim,) = struct.unpack_from("<q", body, offset)
        yield _not_negative(length if claim == _AS_IT_STANDS else claim, "a buffer of {} bytes")


def _values(message: pa.ipc.Message) -> int:
    """The values of all arrays of a record or dictionary batch, nested ones too."""
    batch = _batch(message)
    nodes = () if batch is None else batch.pairs(_NODES)
    return sum(_not_negative(length, "an array of {} values") for length, _ in nodes)


def _batch(message: pa.ipc.Message) -> "_Table | None":
    """The record batch of a message, of a dictionary too. Raises ValueError for an old one that
    may say in its metadata that it is compressed, as in Arrow 0.17."""
    if message.type == "schema":
        return None
    root = _Table.root(message.metadata.to_pybytes())
    if message.metadata_version < pa.ipc.MetadataVersion.V5 and root.table(_METADATA) is not None:
        raise ValueError("metadata beside a batch of before Arrow 1.0, which is not read")
    batch = root.table(_HEADER)
    return batch.table(_DATA) if batch is not None and message.type == "dictionary" else batch


def _not_negative(size: int, what: str) -> int:
    if size < 0:
        raise ValueError(what.format(size))
    return size


@dataclass(frozen=True)
class _Table:
    """A table of a flatbuffer: its fields are found by their numbers through its vtable."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> "_Table":
        return cls(data, *struct.unpack_from("<I", data))

    def table(self, field: int) -> "_Table | None":
        """The table that a field refers to."""
        place = self._place(field)
        return None if place is None else _Table(self.data, self._target(place))

    def pairs(self, field: int) -> Iterator[tuple[int, int]]:
        """The elements of a vector of pairs of int64."""
        place = self._place(field)
        if place is not None:
            start = self._target(place)
            (count,) = struct.unpack_from("<I", self.data, start)
            yield from struct.iter_unpack("<qq", self.data[start + 4 : start + 4 + 16 * count])

    def _place(self, field: int) -> int | None:
        (back,) = struct.unpack_from("<i", self.data, self.at)
        (size,) = struct.unpack_from("<H", self.data, self.at - back)
        if 4 + 2 * field >= size:
            return None
        (offset,) = struct.unpack_from("<H", self.data, self.at - back + 4 + 2 * field)
        return self.at + int(offset) if offset else None

    def _target(self, place: int) -> int:
        return place + int(struct.unpack_from("<I", self.data, place)[0])
