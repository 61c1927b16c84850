"""Small messages that hold very much, each in the size that is asked for."""

import bz2
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TEXT = "x" * 900_000
"""Less than a record may have."""


def ipc(table: pa.Table, times: int = 1, **options: Any) -> bytes:
    """A stream of one batch, which stands in it so many times."""
    out = BytesIO()
    how = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False, **options)
    with pa.ipc.new_stream(out, table.schema, options=how) as writer:
        start = out.tell()
        writer.write_table(table)
        batch = out.getvalue()[start:]
    whole = out.getvalue()
    return whole[:start] + batch * times + whole[start + len(batch) :]


def arrow_zeros(megabytes: int) -> bytes:
    """Numbers that compress to next to nothing."""
    part = min(megabytes, 16)
    return ipc(pa.table({"u": np.zeros(part << 17, np.int64)}), megabytes // part)


def arrow_old(megabytes: int) -> bytes:
    """The same as Arrow 0.17 wrote it, which said in the metadata that it is compressed."""
    packed = pa.compress(bytes(megabytes << 20), "zstd", asbytes=True)
    body = struct.pack("<q", megabytes << 20) + packed
    values = np.frombuffer(body.ljust(len(body) + -len(body) % 8, b"\0"), np.int64)
    batch = pa.record_batch({"u": values})
    how = pa.ipc.IpcWriteOptions(metadata_version=pa.ipc.MetadataVersion.V4)
    out = BytesIO()
    with pa.ipc.new_stream(out, batch.schema, options=how) as writer:
        writer.write_batch(batch, custom_metadata={"ARROW:experimental_compression": "zstd"})
    return out.getvalue()


def arrow_dictionary(megabytes: int) -> bytes:
    """One long text, named by each row."""
    index = pa.array(np.zeros(megabytes, np.int32))
    return ipc(pa.table({"u": pa.DictionaryArray.from_arrays(index, pa.array([TEXT]))}))


def arrow_nested_dictionary(megabytes: int) -> bytes:
    """The same within lists."""
    index = pa.array(np.zeros(megabytes, np.int32))
    texts = pa.DictionaryArray.from_arrays(index, pa.array([TEXT]))
    ends = pa.array(np.arange(megabytes + 1, dtype=np.int32))
    return ipc(pa.table({"u": pa.ListArray.from_arrays(ends, texts)}))


def arrow_runs(megabytes: int) -> bytes:
    """One long text in a run of rows."""
    return ipc(pa.table({"u": pa.RunEndEncodedArray.from_arrays([megabytes], pa.array([TEXT]))}))


def arrow_views(megabytes: int) -> bytes:
    """Rows that look at one list of numbers."""
    start, size = np.zeros(megabytes, np.int32), np.full(megabytes, 1 << 16, np.int32)
    values = pa.array(np.zeros(1 << 16, np.int64))
    return ipc(pa.table({"u": pa.ListViewArray.from_arrays(start, size, values)}))


def arrow_nulls(megabytes: int) -> bytes:
    """Rows without a byte."""
    return ipc(pa.table({"u": pa.nulls(megabytes << 16)}))


def parquet(table: pa.Table, **options: Any) -> bytes:
    """A file of one table."""
    out = BytesIO()
    pq.write_table(table, out, compression="zstd", **options)
    return out.getvalue()


def parquet_dictionary(megabytes: int) -> bytes:
    """One long text, named by each row."""
    index = pa.array(np.zeros(megabytes, np.int32))
    texts = pa.DictionaryArray.from_arrays(index, pa.array([TEXT]))
    return parquet(pa.table({"u": texts}), store_schema=False)


def parquet_nested_dictionary(megabytes: int) -> bytes:
    """The same within lists."""
    table = pa.ipc.open_stream(arrow_nested_dictionary(megabytes)).read_all()
    return parquet(table, store_schema=False)


def parquet_zeros(megabytes: int) -> bytes:
    """Numbers that compress to next to nothing."""
    return parquet(pa.table({"u": np.zeros(megabytes << 17, np.int64)}), use_dictionary=False)


def parquet_runs(megabytes: int) -> bytes:
    """One number, named by each row: a run of them takes a few bytes."""
    table = pa.table({"u": np.zeros(megabytes << 17, np.int64)})
    return parquet(table, data_page_size=1 << 30)


def parquet_prefixes(megabytes: int) -> bytes:
    """Texts that begin as the one before them does."""
    texts = pa.array([f"{TEXT}{row:06d}" for row in range(megabytes)])
    encoding = {"u": "DELTA_BYTE_ARRAY"}
    return parquet(pa.table({"u": texts}), use_dictionary=False, column_encoding=encoding)


def parquet_footer(megabytes: int) -> bytes:
    """A footer whose one row group claims so many columns, of which each takes 700 bytes."""
    count = megabytes * 75
    varint = number(count // 2)
    schema = b"\x19\x1c\x48\x06schema\x15\x00\x00"
    groups = b"\x19\x1c\x19\xfc" + varint + bytes(count)
    footer = b"\x15\x02" + schema + b"\x16\x02" + groups
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def avro(kind: Any, packed: bytes, records: int, codec: str) -> bytes:
    """A file of one block, of records with a field of a type."""
    out = BytesIO()
    schema = {"type": "record", "name": "R", "fields": [{"name": "u", "type": kind}]}
    fastavro.writer(out, schema, [], codec=codec)
    head = out.getvalue()
    return head + number(records) + number(len(packed)) + packed + head[-16:]


def number(value: int) -> bytes:
    """A number as Avro writes it, which is not negative."""
    value, out = value * 2, bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def deflated(data: bytes) -> bytes:
    """As the codec has it."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(data) + stream.flush()


def avro_records(megabytes: int) -> bytes:
    """A list of records of one byte, which take 200 as objects."""
    count = megabytes * 5000
    item = {"type": "record", "name": "I", "fields": [{"name": "b", "type": "boolean"}]}
    packed = deflated(number(count) + bytes(count) + number(0))
    return avro({"type": "array", "items": item}, packed, 1, "deflate")


def avro_zeros(megabytes: int) -> bytes:
    """Numbers that compress to next to nothing."""
    part = min(megabytes, 16)
    packed = bz2.compress(bytes(part << 20)) * (megabytes // part)
    return avro("int", packed, (megabytes // part * part) << 20, "bzip2")


def avro_nothing(megabytes: int) -> bytes:
    """Records without a byte."""
    return avro("null", b"", megabytes << 20, "null")


def avro_nulls(megabytes: int) -> bytes:
    """A list of what has no bytes."""
    count = megabytes << 20
    return avro({"type": "array", "items": "null"}, number(count) + number(0), 1, "null")


def avro_hollow(megabytes: int) -> bytes:
    """A record of two of two of two …: twice as many values for each of some bytes of schema."""
    kind: Any = "null"
    for level in range(megabytes.bit_length() + 20):
        fields = [{"name": "a", "type": kind}, {"name": "b", "type": f"N{level - 1}"}]
        kind = {"type": "record", "name": f"N{level}", "fields": fields[: 1 + (level > 0)]}
    return avro(kind, b"", 1, "null")


def avro_deep(megabytes: int) -> bytes:
    """A record in a record in a record …, deeper than a stack."""
    return avro(["null", "R"], b"\2" * (megabytes * 100) + b"\0", 1, "null")


BOMBS: dict[str, Callable[[int], bytes]] = {
    name: make
    for name, make in list(globals().items())
    if name.startswith(("arrow_", "parquet_", "avro_"))
}
