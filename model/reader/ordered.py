"""The rows of a folder by the end of their session, then by id, in bounded memory."""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from model.reader.progress import After
from model.reader.slices import END, READ, Slice, rows_in, slices_of, whole_of

SLICE_BYTES = 256 << 20
"""About how much is sorted at a time."""

CHUNK_ROWS = 512
_ORDER = [(END, "ascending"), ("sequence_id", "ascending")]

Prepare = Callable[[pa.RecordBatch], pa.RecordBatch]


def in_order(
    data: ds.Dataset, after: After | None, prepare: Prepare, slice_bytes: int = SLICE_BYTES
) -> Iterator[pa.RecordBatch]:
    """The rows behind `after`, in chunks of CHUNK_ROWS. `prepare` takes rows as they are read,
    in no order, and gives those that are wanted."""
    whole = whole_of(data)
    if after is not None:
        whole = Slice(max(whole.start, after.session_end), max(whole.stop, after.session_end))
    for times in slices_of(data, whole, rows_in(data, slice_bytes)):
        read = data.to_batches(filter=times.rows, **READ)
        rows = pa.Table.from_batches(map(prepare, read), data.schema)
        yield from _sorted(rows if after is None else rows.filter(_behind(rows, after)))


def _behind(rows: pa.Table, after: After) -> pa.ChunkedArray:
    """Which rows come behind one, in the order of both columns: bool [rows]."""
    end = rows[END].cast(pa.int64())
    later = pc.greater(end, after.session_end)
    with_it = pc.equal(end, after.session_end)
    return pc.or_(later, pc.and_(with_it, pc.greater(rows["sequence_id"], after.sequence_id)))


def _sorted(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    order = pc.sort_indices(rows.select([END, "sequence_id"]), sort_keys=_ORDER)
    rows = rows.combine_chunks()
    for start in range(0, len(order), CHUNK_ROWS):
        (chunk,) = rows.take(order.slice(start, CHUNK_ROWS)).combine_chunks().to_batches()
        yield chunk
