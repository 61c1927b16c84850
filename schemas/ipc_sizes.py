"""How many bytes the messages of an Arrow IPC stream say, uncompressed, before any is believed.

Arrow makes room for what a compressed buffer claims to be and then fills it, so that a small
message could fill the memory. Each such buffer begins with its claim, an int64 (-1: it is as it
stands). Where the buffers are is in a message's metadata, a flatbuffer that Arrow has verified:
https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

_HEADER = 2  # of Message
_BUFFERS, _COMPRESSION = 2, 3  # of RecordBatch
_DATA = 1  # of DictionaryBatch
_AS_IT_STANDS = -1


def uncompressed_bytes(stream: bytes) -> int:
    """The bytes of all buffers of a stream when they are uncompressed. Raises pa.ArrowException
    or struct.error for what is no stream, ValueError for a negative claim."""
    return sum(size for message in _messages(stream) for size in _sizes(message))


def _messages(stream: bytes) -> Iterator[pa.ipc.Message]:
    reader = pa.ipc.MessageReader.open_stream(stream)
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


def _sizes(message: pa.ipc.Message) -> Iterator[int]:
    """The size of each buffer of a record or dictionary batch."""
    if message.type == "schema":
        return
    batch = _Table.root(message.metadata.to_pybytes()).table(_HEADER)
    if batch is not None and message.type == "dictionary":
        batch = batch.table(_DATA)
    if batch is None:
        return
    compressed = batch.table(_COMPRESSION) is not None
    for offset, length in batch.pairs(_BUFFERS):
        claim = _AS_IT_STANDS
        if compressed and length:
            (claim,) = struct.unpack_from("<q", message.body, offset)
        size = length if claim == _AS_IT_STANDS else claim
        if size < 0:
            raise ValueError(f"a buffer of {size} bytes")
        yield size


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
