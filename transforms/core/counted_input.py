"""What is counted of records as they are read: accepted, left out, rejected, late; their bytes.

Each count is by the part of the input that it is of, so that what a crash made void can be told.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from schemas.fetched import Origin
from schemas.observations import source_names
from schemas.spec import Spec
from transforms.core.arrays import NEVER, Ints, ints
from transforms.core.buckets import TIMES
from transforms.core.decode.decoded import Decoded
from transforms.core.decode.plan import Plan
from transforms.core.statistics import Counts, Mark, by_bucket, by_hour, unplaced


def marks_of(source: str, origin: Origin, damaged: bool = False) -> list[Mark]:
    """The marks of a batch: one for each partition, ascending, at its first offset; or one for the
    file, at the first line. What is `damaged` in a file is given before the lines around it, and
    goes forward by itself."""
    if origin.partition is not None and origin.offset is not None:
        partitions, part = np.unique(origin.partition, return_inverse=True)
        first = np.full(len(partitions), NEVER)
        np.minimum.at(first, part, origin.offset)
        places = zip(partitions.tolist(), first.tolist(), strict=True)
        return [Mark(f"{source}/{partition}", offset) for partition, offset in places]
    if origin.line is not None and len(origin.line):
        name = f"{source}/{origin.file}" + " (damaged)" * damaged
        return [Mark(name, int(origin.line.min()))]
    return []


def of_decoded(decoded: Decoded, plan: Plan) -> Iterator[Counts]:
    """What became of a batch of records, by the marks of its origin."""
    name, origin = plan.name, decoded.origin
    part = _parts(origin, len(decoded.size))
    accepted, rejected = part[decoded.place], part[decoded.rejected_place]
    rows = decoded.rows
    yield by_hour("records", ints(rows["time"]), part=parts_of(rows, origin), source=name)
    yield unplaced("bytes", part, decoded.size, source=name)
    left_out = np.bincount(part)
    for gone in (accepted, rejected):
        left_out -= np.bincount(gone, minlength=len(left_out))
    yield unplaced("filtered", np.arange(len(left_out)), left_out, source=name)
    yield from _rejected(decoded.rejected, rejected, name)
    time = np.zeros(len(part), np.int64)
    time[decoded.place] = decoded.time
    for path, place in decoded.dropped.items():
        yield by_hour("dropped", time[place], part=part[place], source=name, feature=path)


def of_late(rows: pa.Table, spec: Spec, origin: Origin | None = None) -> Iterator[Counts]:
    """Late records by source; by the marks of the batch that they came in, where it is given."""
    names = source_names(spec)
    source, time = ints(rows["source"]), ints(rows["time"])
    for number in np.unique(source).tolist():
        mine = source == number
        part = None if origin is None else parts_of(rows, origin)[mine]
        yield by_hour("late", time[mine], part=part, source=names[number])


def of_tombstones(rows: pa.Table, name: str, origin: Origin) -> Iterator[Counts]:
    """The tombstones of a batch of a source."""
    yield by_hour("tombstones", ints(rows["time"]), part=parts_of(rows, origin), source=name)


def of_horizons(rows: pa.Table, behind: Ints, name: str, origin: Origin) -> Iterator[Counts]:
    """The records of a source by the least horizon with which each were not late: `behind` [n] is
    how far before the watermark its event time was when it came, negative where it was after it."""
    needed = {"horizon_needed": None}
    least = np.maximum(behind + 1, 0)
    part = parts_of(rows, origin)
    yield from by_bucket(needed, ints(rows["time"]), least, TIMES, part, source=name)


def parts_of(rows: pa.Table, origin: Origin) -> Ints:
    """[n] the mark of each observation among those of its batch."""
    if origin.partition is None:
        return np.zeros(rows.num_rows, np.int64)
    return np.searchsorted(np.unique(origin.partition), ints(rows["partition"]))


def _parts(origin: Origin, count: int) -> Ints:
    """[n] the mark of each record of a batch."""
    if origin.partition is None:
        return np.zeros(count, np.int64)
    return np.unique(origin.partition, return_inverse=True)[1]


def _rejected(rejected: pa.Table, part: Ints, name: str) -> Iterator[Counts]:
    reasons = np.array(rejected["reason"].to_pylist(), object)
    time = ints(rejected["event_time"].cast(pa.int64()), null=-1)
    for reason in sorted(set(reasons)):
        known, not_known = (reasons == reason) & (time >= 0), (reasons == reason) & (time < 0)
        yield by_hour("rejected", time[known], part=part[known], source=name, key=reason)
        ones = np.ones(int(not_known.sum()), np.int64)
        yield unplaced("rejected", part[not_known], ones, source=name, key=reason)
