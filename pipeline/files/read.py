"""Event files, and Kafka messages that are small files, to batches of raw records."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.files.arrow import read_arrow
from pipeline.files.avro import read_avro
from pipeline.files.csv_rows import read_csv
from pipeline.files.inputs import MESSAGE_BYTES, TOO_LARGE, Input, Reading, TooMuchError
from pipeline.files.json_lines import read_json_lines
from pipeline.files.parquet import read_parquet
from pipeline.files.weights import held
from schemas.fetched import Columns, Fetched, Texts
from schemas.sources import Source

_A_REJECT = 1_000
"""Bytes of what is Damaged, beside its own."""


def read_file(
    source_name: str,
    source: Source,
    path: Path,
    root: Path,
    batch_rows: int,
    record_bytes: int,
    columns: set[str] | None = None,
) -> Iterator[Fetched]:
    """The records of the file `path` of a source, in batches of `batch_rows` or fewer.

    Their origin has the file relative to `root`, and lines. Of columnar formats and csv only the
    top-level `columns` are read (None: all; one is always read). What is not of the format, or a
    record of more than `record_bytes`, is Damaged; the rest goes through. Raises OSError where the
    file cannot be opened or its disk fails.
    """
    reading = _reading(batch_rows, record_bytes, columns)
    yield from _reader(source)(Input.of_file(source_name, path, root), reading)


def read_message(
    source_name: str,
    source: Source,
    value: bytes,
    *,
    partition: int,
    offset: int,
    timestamp: int | None,
    batch_rows: int,
    record_bytes: int,
    columns: set[str] | None = None,
) -> list[Fetched]:
    """The records of a Kafka message that is a file of arrow, parquet, avro or csv; else as above.

    Every record has the message's partition, offset and timestamp (ms) as its origin. A message
    that holds more than MESSAGE_BYTES unpacked is Damaged as a whole, before it is unpacked. Raises
    ValueError for json, of which a message is one record.
    """
    if source.format == "json":
        raise ValueError(f"source {source_name}: a json message is one record, not a file of rows")
    message = Input(
        source_name, value=value, partition=partition, offset=offset, timestamp=timestamp
    )
    reading = replace(_reading(batch_rows, record_bytes, columns), unpacked_bytes=MESSAGE_BYTES)
    try:
        return list(_within(reading, _reader(source)(message, reading)))
    except TooMuchError as error:
        return [message.damaged(1, message.head(record_bytes), TOO_LARGE, str(error))]


def _within(reading: Reading, fetched: Iterator[Fetched]) -> Iterator[Fetched]:
    """The same, as long as it holds no more than it may: a part at a time is more at most."""
    total = 0
    for part in fetched:
        total += _held(part)
        reading.check(total)
        yield part


def _held(part: Fetched) -> int:
    if isinstance(part, Columns):
        return held(part.table)
    return sum(map(len, part.texts)) if isinstance(part, Texts) else _A_REJECT + len(part.raw)


def _reading(batch_rows: int, record_bytes: int, columns: set[str] | None) -> Reading:
    return Reading(batch_rows, record_bytes, None if columns is None else frozenset(columns))


def _reader(source: Source) -> Callable[[Input, Reading], Iterator[Fetched]]:
    readers: dict[str, Callable[[Input, Reading], Iterator[Fetched]]] = {
        "json": read_json_lines,
        "csv": read_csv,
        "parquet": read_parquet,
        "arrow": read_arrow,
        "avro": partial(read_avro, unit=source.time.unit),
    }
    return readers[source.format]
