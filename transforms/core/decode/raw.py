"""What is kept of a record that is rejected or late: its bytes as they came."""

from io import BytesIO

import pyarrow as pa

from schemas.fetched import Columns, Damaged, Fetched, Texts


def raw_of(fetched: Fetched, place: int) -> bytes:
    """The raw bytes of one record of a batch."""
    if isinstance(fetched, Texts):
        return fetched.texts[place]
    if isinstance(fetched, Damaged):
        return fetched.raw
    return raw_of_row(fetched, place)


def raw_of_row(columns: Columns, place: int) -> bytes:
    """A row's line where the format has lines, else an Arrow IPC stream of that one row."""
    return ipc_of_row(columns.table, place) if columns.raw is None else columns.raw[place]


def ipc_of_row(table: pa.Table, place: int) -> bytes:
    """One row of a table as an Arrow IPC stream."""
    row = _one_row(table, place)
    out = BytesIO()
    with pa.ipc.new_stream(out, row.schema) as writer:
        writer.write_table(row)
    return out.getvalue()


def _one_row(table: pa.Table, place: int) -> pa.Table:
    try:
        return table.take([place])  # a slice would be written with the values of all rows
    except NotImplementedError:  # of views, or runs: no copies are made of these
        return table.slice(place, 1)
