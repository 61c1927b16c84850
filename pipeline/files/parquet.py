"""Parquet files to Columns."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files.inputs import BATCH_BYTES, MALFORMED, Input, Reading
from pipeline.files.parquet_sizes import claims
from pipeline.files.tables import BROKEN, deliver, gather, raise_if_device, wanted_once
from pipeline.files.weights import VALUE_BYTES
from schemas.fetched import Columns, Damaged

_BUFFER_BYTES = 1 << 20
_LISTED = 100_000
"""What a list in the footer of a message may have: room is made for as many as it claims."""


def read_parquet(source: Input, reading: Reading) -> Iterator[Columns | Damaged]:
    """Rows a batch at a time, numbered from 1; a row group is not read whole.

    What is no Parquet file is Damaged once. Where a row group is broken, its rows up to there and
    the other row groups go through.
    """
    with source.open() as handle:
        try:
            file = _opened(handle) if source.path else _of_message(source, reading)
            wanted = wanted_once(reading, file.schema_arrow.names)
        except BROKEN as error:
            raise_if_device(error)
            head = source.head(reading.record_bytes)
            yield source.damaged(1, head, MALFORMED, f"not a Parquet file: {error}")
            return
        yield from _Groups(source, reading, file, wanted).rows()


def _opened(handle: BinaryIO, **options: Any) -> pq.ParquetFile:
    # Pages are fetched through a small buffer: else a column of a row group is read whole.
    return pq.ParquetFile(handle, buffer_size=_BUFFER_BYTES, pre_buffer=False, **options)


def _of_message(source: Input, reading: Reading) -> pq.ParquetFile:
    """A message as a file, with texts that stand in dictionaries left there until they are weighed.
    Raises TooMuchError by what its pages claim; ArrowInvalid where that cannot be told."""
    file = _opened(source.open(), thrift_container_size_limit=_LISTED)
    total = file.metadata.num_rows * VALUE_BYTES
    reading.check(total)
    coded = set()
    try:
        for claim in claims(file, source.value, VALUE_BYTES):
            total += claim.size
            reading.check(total)
            coded |= {claim.path} if claim.in_dictionary else set()
    except (IndexError, RecursionError, ValueError) as error:
        raise pa.ArrowInvalid(f"a page whose size cannot be told: {error}") from None
    dictionaries = sorted(coded)
    return _opened(source.open(), read_dictionary=dictionaries, thrift_container_size_limit=_LISTED)


class _Groups:
    """The row groups of a file, of which any may be broken."""

    def __init__(
        self, source: Input, reading: Reading, file: pq.ParquetFile, wanted: list[str]
    ) -> None:
        self._source = source
        self._reading = reading
        self._file = file
        self._wanted = wanted
        self._sizes = [file.metadata.row_group(i) for i in range(file.num_row_groups)]

    def rows(self) -> Iterator[Columns | Damaged]:
        """All rows: in batches across row groups, and group by group from a broken one on."""
        done = 0
        everything = self._batches(list(range(len(self._sizes))))
        try:
            for table in gather(everything, self._reading.batch_rows):
                yield from deliver(self._source, self._reading, table, done + 1)
                done += table.num_rows
        except BROKEN as error:
            raise_if_device(error)
            yield from self._after(done)

    def _after(self, done: int) -> Iterator[Columns | Damaged]:
        start = 0
        for group, size in enumerate(self._sizes):
            if start + size.num_rows > done:
                yield from self._one(group, start, max(done - start, 0))
            start += size.num_rows

    def _one(self, group: int, start: int, skip: int) -> Iterator[Columns | Damaged]:
        """A group's rows but the first `skip`; row `start` of the file is its first."""
        at = 0
        try:
            for batch in self._batches([group]):
                rest = pa.Table.from_batches([batch]).slice(max(skip - at, 0))
                first = start + at + batch.num_rows - rest.num_rows + 1
                yield from deliver(self._source, self._reading, rest, first)
                at += batch.num_rows
        except BROKEN as error:
            raise_if_device(error)
            detail = f"row group {group} is broken: {error}"
            yield self._source.damaged(start + max(at, skip) + 1, b"", MALFORMED, detail)

    def _batches(self, groups: list[int]) -> Iterator[pa.RecordBatch]:
        total = sum(self._sizes[group].total_byte_size for group in groups)
        # Fewer rows at a time where they are wide on average.
        narrow = sum(self._sizes[group].num_rows for group in groups) * BATCH_BYTES
        rows = max(1, min(self._reading.batch_rows, narrow // max(total, 1)))
        for batch in self._file.iter_batches(rows, groups, self._wanted, use_threads=False):
            # A name with a dot may also have matched a field within another column.
            yield batch.select(self._wanted)
