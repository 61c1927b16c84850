"""Arrow IPC between programs: what comes from outside is checked before it is believed."""

import struct
from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.types as pt

from schemas.ipc_sizes import uncompressed_bytes

MOST_BYTES = 64 << 20
"""Bytes of a message, and of what it says when uncompressed, unless the caller sets a limit."""

_MOST_COLUMNS = 1_000
_DAMAGES = (pa.ArrowException, OSError, struct.error, ValueError)


class CodecError(ValueError):
    """A message that is refused; the text says what is wrong with it and what would be right, in
    one line also where names within the message have several."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))


def encode_batch(batch: pa.RecordBatch, compression: str | None = None) -> bytes:
    """A record batch as an IPC stream; `compression` is None, "zstd" or "lz4"."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def decode_batch(encoded: bytes, schema: pa.Schema, most_bytes: int = MOST_BYTES) -> pa.RecordBatch:
    """The one batch of an IPC stream that has at least the columns of `schema`.

    Columns that are not known stay. Raises CodecError for what is larger than `most_bytes`,
    damaged, of more or less than one batch, or where a known column has another type.
    """
    if len(encoded) > most_bytes:
        raise CodecError(f"a message of {len(encoded)} bytes; at most {most_bytes} are read")
    try:
        _check_size(uncompressed_bytes(encoded), most_bytes)
        with pa.ipc.open_stream(encoded) as reader:
            _check_schema(reader.schema, schema)
            batch = _one(reader)
            batch.validate(full=True)
            return batch
    except CodecError:
        raise
    except _DAMAGES as error:
        raise CodecError(f"not a whole Arrow IPC stream of {len(encoded)} bytes: {error}") from None


def _check_size(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise CodecError(f"a message that says {size} bytes; at most {most_bytes} are read")


def _one(reader: pa.RecordBatchReader) -> pa.RecordBatch:
    batch = next(iter(reader), None)
    if batch is None or next(iter(reader), None) is not None:
        raise CodecError("a message holds one record batch; this one has none, or several")
    return batch


def _check_schema(found: pa.Schema, wanted: pa.Schema) -> None:
    if len(found) > _MOST_COLUMNS:
        raise CodecError(f"a message of {len(found)} columns; at most {_MOST_COLUMNS} are read")
    for field in wanted:
        places = found.get_all_field_indices(field.name)
        if len(places) != 1:
            raise CodecError(f"column {field.name} is there {len(places)} times; must be once")
        kind = found.field(places[0]).type
        if kind != field.type:
            raise CodecError(f"column {field.name} is of {kind}; must be of {field.type}")
    _refuse_unknown_types(found, {field.name for field in wanted})


def _refuse_unknown_types(found: pa.Schema, known: Collection[str]) -> None:
    for field in found:
        for kind in () if field.name in known else _within(field.type):
            if isinstance(kind, pa.BaseExtensionType):
                raise CodecError(f"column {field.name} is of an extension type, {kind}")
            if pt.is_union(kind):
                raise CodecError(f"column {field.name} holds a union, which is not read")


def _within(kind: pa.DataType) -> Iterator[pa.DataType]:
    """A type, and those that it is made of."""
    yield kind
    if pt.is_dictionary(kind):
        yield from _within(kind.value_type)
    for place in range(kind.num_fields):
        yield from _within(kind.field(place).type)
