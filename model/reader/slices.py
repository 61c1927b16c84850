"""A folder's rows in the order of time, read slice by slice of it, in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from schemas.sequences import MS

READ = {"batch_readahead": 2, "fragment_readahead": 1}
"""Row groups that Arrow reads ahead; by itself it would hold sixteen and more."""

END = "session_end"


@dataclass(frozen=True)
class Slice:
    """Times from `start` up to and without `stop`, in ms."""

    start: int
    stop: int

    @property
    def rows(self) -> pc.Expression:
        """The rows of sequences whose sessions end then; Arrow passes over row groups by it."""
        end = pc.field(END)
        return (end >= pa.scalar(self.start, MS)) & (end < pa.scalar(self.stop, MS))


def slices_of(data: ds.Dataset, whole: Slice, most_rows: int) -> Iterator[Slice]:
    """The slices of `whole` in order, each of at most so many rows, unless they end in one ms."""
    rows = data.count_rows(filter=whole.rows, **READ)
    if rows <= most_rows or whole.stop - whole.start <= 1:
        if rows:
            yield whole
        return
    middle = (whole.start + whole.stop) // 2
    yield from slices_of(data, Slice(whole.start, middle), most_rows)
    yield from slices_of(data, Slice(middle, whole.stop), most_rows)


def whole_of(data: ds.Dataset) -> Slice:
    """All the times in which sessions of a folder end; an empty slice where it has no rows."""
    found = [
        pc.min_max(batch[END].view(pa.int64()))
        for batch in data.to_batches(columns=[END], **READ)
        if batch.num_rows
    ]
    if not found:
        return Slice(0, 0)
    first = reduce(min, (each["min"].as_py() for each in found))
    return Slice(first, 1 + reduce(max, (each["max"].as_py() for each in found)))


def rows_in(data: ds.Dataset, most_bytes: int) -> int:
    """About how many rows have so many bytes when they are not compressed; at least one."""
    groups = [group for piece in data.get_fragments() for group in piece.row_groups]
    rows = sum(int(group.num_rows) for group in groups)
    return max(1, rows * most_bytes // max(1, sum(int(group.total_byte_size) for group in groups)))
