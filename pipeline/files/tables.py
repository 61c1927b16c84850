"""Arrow tables, as files and messages hold them, to Columns that are safe to work on."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from pipeline.files.inputs import (
    BATCH_BYTES,
    MALFORMED,
    TOO_LARGE,
    Input,
    Reading,
    repeated,
    too_large,
)
from pipeline.files.weights import oversize
from schemas.fetched import Columns, Damaged
from transforms.core.decode.raw import ipc_of_row

_SPREAD_BYTES = 2 * BATCH_BYTES

BROKEN = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises for broken data (names of columns too), and for a failing disk: an OSError."""


def raise_if_device(error: Exception) -> None:
    """Raises an error of the disk again."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


def wanted_once(reading: Reading, names: list[str]) -> list[str]:
    """The names to read. Raises ArrowInvalid where one of them stands for several columns."""
    wanted = reading.wanted(names)
    if twice := repeated(wanted):
        raise pa.ArrowInvalid(f"columns that are there more than once: {', '.join(twice)}")
    return wanted


def gather(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `rows`, or of fewer where they would hold very many bytes."""
    held: list[pa.RecordBatch] = []
    count = size = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        # Not `nbytes`: it follows offsets, which nobody has checked yet.
        size += batch.get_total_buffer_size()
        if count >= rows or size >= BATCH_BYTES:
            table = pa.Table.from_batches(held)
            whole = count if size >= BATCH_BYTES else count // rows * rows
            for start in range(0, whole, rows):
                yield table.slice(start, min(rows, whole - start))
            held = table.slice(whole).to_batches()
            count, size = count - whole, size * (count - whole) // count
    if count:
        yield pa.Table.from_batches(held)


def deliver(
    source: Input, reading: Reading, table: pa.Table, first: int
) -> Iterator[Columns | Damaged]:
    """The rows of `table`, the first of number `first`; those broken or too large as Damaged."""
    # Readers check neither UTF-8 nor, for Arrow, offsets; whoever used them would crash. So parts
    # go on only where they were checked in full, halved until the broken rows are alone.
    if table.num_rows == 0:
        return
    fault = _fault(table)
    if fault is None:
        yield from _within_limit(source, reading, table, first)
    elif table.num_rows == 1:
        yield source.damaged(first, b"", MALFORMED, fault)
    else:
        half = table.num_rows // 2
        yield from deliver(source, reading, table.slice(0, half), first)
        yield from deliver(source, reading, table.slice(half), first + half)


def _fault(table: pa.Table) -> str | None:
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        return str(error)
    return None


def _within_limit(
    source: Input, reading: Reading, table: pa.Table, first: int
) -> Iterator[Columns | Damaged]:
    limit = reading.record_bytes
    sizes = oversize(table, limit)
    if sizes.sum() > _SPREAD_BYTES and len(sizes) > 1:  # a few bytes, shared by many rows
        half = table.num_rows // 2
        yield from _within_limit(source, reading, table.slice(0, half), first)
        yield from _within_limit(source, reading, table.slice(half), first + half)
        return
    lines = np.arange(first, first + table.num_rows, dtype=np.int64)
    for at in np.flatnonzero(sizes > limit).tolist():
        raw = ipc_of_row(table, at)[:limit]
        yield source.damaged(first + at, raw, TOO_LARGE, too_large(int(sizes[at]), limit))
    fits = sizes <= limit
    if not fits.all():
        table, lines = table.filter(pa.array(fits)), lines[fits]
    if len(lines):
        yield Columns(source.source, _undictionaried(table), source.origin(lines))


def _undictionaried(table: pa.Table) -> pa.Table:
    """Without dictionaries, which a slice of one row would keep whole."""
    rows = np.arange(table.num_rows)
    for place, field in enumerate(table.schema):
        kind = _plain(field.type)
        if kind != field.type:
            # A cast alone would spread what a list has beyond its slice, too.
            column = table[place].take(rows).cast(kind)
            table = table.set_column(place, field.with_type(kind), column)
    return table.combine_chunks()


def _plain(kind: pa.DataType) -> pa.DataType:
    """A type without dictionaries in it."""
    of = pa.types
    if of.is_dictionary(kind):
        return kind.value_type
    if of.is_struct(kind):
        return pa.struct([_plain_field(field) for field in kind])
    if of.is_map(kind):
        return pa.map_(_plain_field(kind.key_field), _plain_field(kind.item_field))
    if of.is_list(kind):
        return pa.list_(_plain_field(kind.value_field))
    return pa.large_list(_plain_field(kind.value_field)) if of.is_large_list(kind) else kind


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(_plain(field.type))
