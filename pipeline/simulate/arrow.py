"""Records as Arrow tables and IPC streams; a text that is broken as such has no place in them."""

import polars as pl
import pyarrow as pa

from pipeline.simulate.fates import META, TEXT_DAMAGES, has_fate


def table_of(frame: pl.DataFrame) -> pa.Table:
    """The records as columns, without those that only a text can hold."""
    typed = frame.filter(~has_fate(*TEXT_DAMAGES)).drop(META)
    return typed.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())


def stream_of(frame: pl.DataFrame) -> bytes:
    """The records as one IPC stream of one record batch."""
    table = table_of(frame)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
