"""Rows of statistics (docs/statistics.md): sums by window, which add up over all that counts.

What is counted without an event time has null windows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.outputs import STATISTICS
from transforms.core.arrays import Ints
from transforms.core.buckets import SIZES, TIMES, Buckets
from transforms.core.sketches import THETA

HOUR, DAY = 3_600_000, 86_400_000
CONTENTS = "contents"
"""What stands as the feature of the counts of Φ and a tokens."""

_NO_WINDOW = -1

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mark:
    """Which part of a job wrote rows, and how far it had come: what makes rows of before a crash
    void."""

    origin: str
    position: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The values of one measure in some windows [w], given by their starts, ms, and the length of
    all; or sketches instead of values. The key of all is `key`, or each has that of its `bucket`
    [w] among `buckets`.

    `part` [w] is the place of each row's mark among those of the table; None: of the first.
    """

    measure: str
    window: Ints
    value: Floats | list[bytes]
    length: int = HOUR
    source: str | None = None
    feature: str | None = None
    key: str | None = None
    buckets: Buckets | None = None
    bucket: Ints | None = None
    part: Ints | None = None


def as_table(
    counts: Iterable[Counts], marks: Sequence[Mark] = (), written: int | None = None
) -> pa.Table:
    """Counts as rows of STATISTICS, written at a time in µs; without marks they have none."""
    each = [one for one in counts if len(one.window)]
    if not each:
        return STATISTICS.empty_table()
    sizes = np.array([len(one.window) for one in each])
    place, total = np.repeat(np.arange(len(each)), sizes), int(sizes.sum())
    start = np.concatenate([one.window for one in each])
    end = start + np.array([one.length for one in each])[place]
    nowhere = start == _NO_WINDOW
    columns = {
        "window_start": pa.array(start, mask=nowhere),
        "window_end": pa.array(end, mask=nowhere),
        "key": _keys(each),
        "written": pa.nulls(total) if written is None else pa.array(np.full(total, written)),
    }
    for name in ("measure", "source", "feature"):
        texts = pa.array([getattr(one, name) for one in each], pa.string())
        columns[name] = texts.take(pa.array(place))
    columns |= _valued(each) | _marked(each, marks, total)
    return pa.table([columns[f.name].cast(f.type) for f in STATISTICS], schema=STATISTICS)


def _keys(each: list[Counts]) -> pa.Array:
    """The keys of all rows, taken from all texts that there are, which is several times faster
    than text by text."""
    lists = [SIZES.keys, TIMES.keys, pa.array([one.key for one in each], pa.string())]
    first = {id(SIZES): 0, id(TIMES): len(SIZES)}
    alone = len(SIZES) + len(TIMES)
    codes = [
        np.full(len(one.window), alone + number)
        if one.bucket is None
        else one.bucket + first[id(one.buckets)]
        for number, one in enumerate(each)
    ]
    return pa.concat_arrays(lists).take(pa.array(np.concatenate(codes)))


def _valued(each: list[Counts]) -> dict[str, pa.Array]:
    """The columns of values and sketches: a row has one of them."""
    sets = [isinstance(one.value, list) for one in each]
    values = [
        np.zeros(len(one.value)) if s else one.value for one, s in zip(each, sets, strict=True)
    ]
    is_set = np.repeat(sets, [len(one.value) for one in each])
    sketches = [sketch for one in each if isinstance(one.value, list) for sketch in one.value]
    which = pa.array(np.cumsum(is_set) - 1, mask=~is_set)
    return {
        "value": pa.array(np.concatenate(values), mask=is_set),
        "sketch": pa.array(sketches, pa.binary()).take(which),
        "sketch_kind": pa.array([THETA]).take(pa.array(np.zeros(len(is_set), int), mask=~is_set)),
    }


def _marked(each: list[Counts], marks: Sequence[Mark], total: int) -> dict[str, pa.Array]:
    if not marks:
        return {"origin": pa.nulls(total), "position": pa.nulls(total)}
    parts = [np.zeros(len(one.window), np.int64) if one.part is None else one.part for one in each]
    part = pa.array(np.concatenate(parts))
    return {
        "origin": pa.array([mark.origin for mark in marks]).take(part),
        "position": pa.array([mark.position for mark in marks]).take(part),
    }


def unplaced(
    measure: str,
    part: Ints,
    values: npt.NDArray[np.generic],
    source: str | None = None,
    key: str | None = None,
) -> Counts:
    """The sums of values [n] that have no event time, by `part` [n]."""
    sums = np.bincount(part, values.astype(float))
    there = np.flatnonzero(sums)
    nowhere, value = np.full(len(there), _NO_WINDOW), sums[there].astype(float)
    return Counts(measure, nowhere, value, source=source, key=key, part=there)


def by_hour(
    measure: str,
    time: Ints,
    values: npt.NDArray[np.generic] | None = None,
    part: Ints | None = None,
    source: str | None = None,
    feature: str | None = None,
    key: str | None = None,
) -> Counts:
    """The values [n], or the number, of what happened at these times [n], added up by hour, and by
    `part` [n] where it is given."""
    hour, low, parts = _windows(time, HOUR, part)
    there, (sums,) = _added(hour * parts + (0 if part is None else part), [values])
    there, sums = there[sums != 0], sums[sums != 0]
    of_part = None if part is None else there % parts
    start = (there // parts + low) * HOUR
    return Counts(measure, start, sums, HOUR, source, feature, key, part=of_part)


def by_day(measure: str, time: Ints, source: str | None = None, key: str | None = None) -> Counts:
    """The number of what happened at these times [n] by day."""
    day, low, _ = _windows(time, DAY, None)
    there, (number,) = _added(day, [None])
    return Counts(measure, (there + low) * DAY, number, DAY, source, None, key)


def by_bucket(
    measures: Mapping[str, npt.NDArray[np.generic] | None],
    time: Ints,
    sizes: Ints,
    buckets: Buckets,
    part: Ints | None = None,
    source: str | None = None,
    feature: str | None = None,
) -> Iterator[Counts]:
    """Distributions by day: of each measure the values [n], or the number, of what happened at
    these times [n], added up by the bucket of its size [n]."""
    day, low, parts = _windows(time, DAY, part)
    code = (day * parts + (0 if part is None else part)) * len(buckets) + buckets.of(sizes)
    there, sums = _added(code, list(measures.values()))
    window, bucket = there // len(buckets), there % len(buckets)
    of_part = None if part is None else window % parts
    start = (window // parts + low) * DAY
    for measure, values in zip(measures, sums, strict=True):
        yield Counts(measure, start, values, DAY, source, feature, None, buckets, bucket, of_part)


def _windows(time: Ints, length: int, part: Ints | None) -> tuple[Ints, int, int]:
    """[n] the window of each time, counted from the first; that; and how many parts there are."""
    window = time // length
    low = int(window.min()) if len(window) else 0
    return window - low, low, 1 if part is None or not len(part) else int(part.max()) + 1


def _added(
    code: Ints, values: Sequence[npt.NDArray[np.generic] | None]
) -> tuple[Ints, list[Floats]]:
    """The codes that there are, and the sums of each of the values, or the numbers, by them."""
    names = None
    if len(code) and int(code.max()) > 8 * len(code) + 65_536:
        names, code = np.unique(code, return_inverse=True)
    number = np.bincount(code)
    there = np.flatnonzero(number)
    sums = [
        (number if each is None else np.bincount(code, each.astype(float)))[there].astype(float)
        for each in values
    ]
    return there if names is None else names, sums


def totals(statistics: pa.Table) -> Mapping[tuple[str, str | None, str | None, str | None], float]:
    """The sums over all windows, by measure, source, feature and key."""
    keys = ["measure", "source", "feature", "key"]
    sums = statistics.group_by(keys).aggregate([("value", "sum")])
    return {
        tuple(row[k] for k in keys): row["value_sum"]
        for row in sums.to_pylist()
        if row["value_sum"] is not None
    }
