"""Avro container files to Columns, or to Texts where values do not fit one Arrow type."""

import json
import lzma
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any, BinaryIO
from uuid import UUID

import cramjam
import fastavro
import numpy as np
import pyarrow as pa
import zstandard
from fastavro.schema import SchemaParseException, UnknownType
from lz4.block import LZ4BlockError

from pipeline.files.avro_sizes import unpacked
from pipeline.files.avro_types import arrow_type, raise_if_boundless
from pipeline.files.inputs import MALFORMED, TOO_LARGE, Input, Reading, too_large
from pipeline.files.tables import deliver, raise_if_device
from pipeline.files.weights import VALUE_BYTES
from schemas.fetched import Columns, Damaged, Texts

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

_BROKEN = (
    ArithmeticError,
    EOFError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    SchemaParseException,
    UnknownType,
    OSError,
    cramjam.DecompressionError,
    LZ4BlockError,
    ZstdError,
    lzma.LZMAError,
    struct.error,
    zlib.error,
    zstandard.ZstdError,
)
"""What fastavro lets out of itself where the bytes are not of the schema, or of the codec: bz2
raises an OSError, which has no number where it is not the disk's."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}

_WINDOW_BYTES = 1 << 20
"""Rows of about so many bytes make a batch at most: as objects they take many times that."""

_ROWS_AT_MOST = 1 << 62

Record = dict[str, Any]
Block = Any  # fastavro gives the class no public name


def read_avro(source: Input, reading: Reading, unit: str) -> Iterator[Columns | Texts | Damaged]:
    """Rows of a container file, numbered from 1; where a block is broken, its rows up to there.

    Fields get the Arrow type of their Avro type: bytes are binary, decimals decimal128, timestamps
    timestamp[ms or us]. With maps, or unions of several types, rows are compact JSON instead: there
    bytes are UTF-8 text, or else hex; a decimal is its plain decimal text; a timestamp a number
    of the source's time `unit` (s, ms, us), or ISO 8601 text where that is the unit, as for dates.
    """
    with source.open() as file:
        try:
            bounded = _Bounded(file, source.size())
            blocks = fastavro.block_reader(bounded)
            schema = blocks.writer_schema
            if not isinstance(schema, dict) or schema.get("type") != "record":
                raise ValueError("its schema is no record")
            raise_if_boundless(schema)
        except _BROKEN as error:
            raise_if_device(error)
            head = source.head(reading.record_bytes)
            yield source.damaged(1, head, MALFORMED, f"not an Avro container file: {_text(error)}")
            return
        if reading.unpacked_bytes is not None:
            _check(source.value[file.tell() :], blocks.codec, reading, reading.unpacked_bytes)
        yield from _Rows(source, reading, unit, schema).read(blocks, bounded)


def _check(blocks: bytes, codec: str, reading: Reading, most: int) -> None:
    """Raises TooMuchError where the blocks that can be unpacked hold too much."""
    total = 0
    try:
        for size, records in unpacked(blocks, codec, most):
            total += size + VALUE_BYTES * records
            reading.check(total)
    except _BROKEN:
        pass  # where a block is broken the reader finds it so


class _Bounded:
    """A file that refuses to read past its end, so that a broken length claims no memory."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int) -> bytes:
        """The next `size` bytes. Raises EOFError where there are fewer."""
        if size < 0 or size > self._left:
            raise EOFError(f"{size} bytes wanted, {self._left} left")
        self._left -= size
        return self._file.read(size)

    def tell(self) -> int:
        """Bytes read so far."""
        return self._file.tell()


class _Rows:
    """Rows that follow one another, gathered to batches."""

    def __init__(self, source: Input, reading: Reading, unit: str, schema: Record) -> None:
        self._source = source
        self._reading = reading
        kinds = {field["name"]: arrow_type(field["type"]) for field in schema["fields"]}
        self._wanted = reading.wanted(list(kinds))
        self._schema = _schema_of([(name, kinds[name]) for name in self._wanted])
        self._encode = json.JSONEncoder(
            ensure_ascii=False, separators=(",", ":"), default=_json_value(unit)
        ).encode
        self._held: list[Record] = []
        self._bytes = 0
        self._next = 1

    def read(self, blocks: Iterator[Block], file: _Bounded) -> Iterator[Columns | Texts | Damaged]:
        """All rows, up to a block that cannot be got at."""
        end = file.tell()
        problem = ""
        while not problem:
            try:
                block = next(blocks)
            except StopIteration:
                # It also stops where no more than the count of the next block is there.
                problem = "" if file.tell() == end else "a block is cut short"
                break
            except _BROKEN as error:
                raise_if_device(error)
                problem = f"a block is broken: {_text(error)}"
                break
            end = file.tell()
            yield from self._block(block)
        yield from self._rest()
        if problem:
            yield self._damaged(problem)

    def _block(self, block: Block) -> Iterator[Columns | Texts | Damaged]:
        end = self._next + len(self._held) + block.num_records
        broken: list[str] = []
        for record, size in _readable(block, broken, self._reading.record_bytes):
            self._held.append({name: record[name] for name in self._wanted})
            self._bytes += size
            if self._bytes >= _WINDOW_BYTES or len(self._held) >= self._reading.batch_rows:
                yield from self._give(self._reading.batch_rows)
        if broken:
            yield from self._rest()
            detail = (
                f"a record is broken or very large, and with it the rest of its block: {broken[0]}"
            )
            yield self._damaged(detail)
            # The block's own count may be broken too.
            self._next = end if self._next < end < _ROWS_AT_MOST else self._next + 1

    def _damaged(self, detail: str) -> Damaged:
        """With the bytes of a message, which its topic may not keep."""
        raw = b"" if self._source.path else self._source.head(self._reading.record_bytes)
        return self._source.damaged(self._next, raw, MALFORMED, detail)

    def _rest(self) -> Iterator[Columns | Texts | Damaged]:
        while self._held:
            yield from self._give(self._reading.batch_rows)

    def _give(self, count: int) -> Iterator[Columns | Texts | Damaged]:
        records, self._held = self._held[:count], self._held[count:]
        first, self._next = self._next, self._next + len(records)
        self._bytes = 0
        table = self._table(records)
        if table is None:
            yield from self._texts(records, first)
        else:
            yield from deliver(self._source, self._reading, table, first)

    def _table(self, records: list[Record]) -> pa.Table | None:
        if self._schema is None:
            return None
        try:
            return pa.Table.from_pylist(records, self._schema)
        except pa.ArrowException:
            # A value may be wider than its type says: a long beyond its decimal's digits.
            return None

    def _texts(self, records: list[Record], first: int) -> Iterator[Texts | Damaged]:
        limit = self._reading.record_bytes
        texts = [self._encode(record).encode() for record in records]
        sizes = np.array([len(text) for text in texts], dtype=np.int64)
        for at in np.flatnonzero(sizes > limit).tolist():
            detail = too_large(len(texts[at]), limit)
            yield self._source.damaged(first + at, texts[at][:limit], TOO_LARGE, detail)
        fits = np.flatnonzero(sizes <= limit)
        if len(fits):
            kept = [texts[at] for at in fits.tolist()]
            yield Texts(self._source.source, kept, self._source.origin(first + fits))


def _readable(block: Block, broken: list[str], record_bytes: int) -> Iterator[tuple[Record, int]]:
    """The records of a block with their bytes, up to one that is broken; what is wrong there goes
    to `broken`. One that runs more than `record_bytes` beyond a window is not read to its end."""
    data, start, before = block.bytes_.getvalue(), 0, 0
    window = block.bytes_ = BytesIO(data[: _WINDOW_BYTES + record_bytes])
    try:
        for record in block:
            yield record, window.tell() - before
            before = window.tell()
            if before >= _WINDOW_BYTES:
                start, before = start + before, 0
                window = BytesIO(data[start : start + _WINDOW_BYTES + record_bytes])
                block.bytes_ = window
    except _BROKEN as error:
        broken.append(_text(error))


def _schema_of(kinds: list[tuple[str, pa.DataType | None]]) -> pa.Schema | None:
    known = [pa.field(name, kind) for name, kind in kinds if kind is not None]
    return pa.schema(known) if len(known) == len(kinds) else None


def _json_value(unit: str) -> Callable[[Any], Any]:
    """What stands in JSON for a value that JSON has no form of."""

    def value_of(value: Any) -> Any:
        match value:
            case bytes():
                return _text_or_hex(value)
            case Decimal():
                return f"{value.normalize():f}"
            case datetime() if unit in _MICROSECONDS:
                return _count(value, _MICROSECONDS[unit])
            case datetime() | date() | time():
                return value.isoformat()
            case UUID():
                return str(value)
        raise TypeError(f"{type(value).__name__} has no form in JSON")

    return value_of


def _text_or_hex(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def _count(time_of: datetime, per: int) -> int | str:
    """Units since 1970, as decimal text where there is a fraction of one."""
    zoned = time_of if time_of.tzinfo else time_of.replace(tzinfo=UTC)
    microseconds = (zoned - _EPOCH) // _MICROSECOND
    if microseconds % per == 0:
        return microseconds // per
    return f"{Decimal(microseconds) / per:f}"


def _text(error: BaseException) -> str:
    """Without the address of what was read from, which fastavro names."""
    return f"{type(error).__name__}: {error}".split(" from <", maxsplit=1)[0]
