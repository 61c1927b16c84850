"""Contents of past sessions as they are kept between firings: chunks that need no decoding.

A chunk has one row for each slot and run of contents: lists of the contents' items, actions and
categories, and of their times as steps from the one before. Integers are as narrow as their range
in the chunk allows, so that a token takes 6 to 8 bytes (a content is two tokens).
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.observations import IDS
from schemas.spec import Spec
from transforms.core.arrays import Ints, ints, is_first, ranges, runs

_WIDTHS = (pa.int8(), pa.int16(), pa.int32())
_NUMBERS = ("slot", "ordinal", "item", "actions", "time")


def contents_schema(spec: Spec) -> pa.Schema:
    """The columns of contents in memory: `ordinal` counts the contents of the slot from 0."""
    categories = [pa.field(f"category:{name}", IDS) for name in spec.categories]
    return pa.schema([pa.field(name, pa.int64()) for name in _NUMBERS] + categories)


def packed(contents: pa.Table) -> pa.RecordBatch:
    """A chunk of contents that stand by slot and ordinal."""
    slot, time = ints(contents["slot"]), ints(contents["time"])
    first = is_first(slot)
    opening = np.flatnonzero(first)
    step = np.diff(time, prepend=0)
    step[first] = 0
    offsets = pa.array(np.append(opening, len(slot)), pa.int32())

    def lists(values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(offsets, values)

    columns = {
        "slot": _narrow(pa.array(slot[opening])),
        "first": _narrow(pa.array(ints(contents["ordinal"])[opening])),
        "start": pa.array(time[opening]),
        "item": lists(_narrow(contents["item"].combine_chunks())),
        "actions": lists(_narrow(contents["actions"].combine_chunks())),
        "step": lists(_narrow(pa.array(step))),
    }
    for name in contents.column_names[len(_NUMBERS) :]:
        inner = contents[name].combine_chunks()
        flat = _narrow(inner.flatten())
        columns[name] = lists(pa.ListArray.from_arrays(_offsets(inner), flat))
    return pa.RecordBatch.from_pydict(columns)


def unpacked(chunk: pa.RecordBatch, spec: Spec, slots: Ints | None = None) -> pa.Table:
    """The contents of a chunk, or only those of some slots (ascending)."""
    if slots is not None:
        mine = np.flatnonzero(np.isin(ints(chunk["slot"]), slots))
        chunk = chunk.take(pa.array(mine))
    length = ints(pc.list_value_length(chunk["item"]))
    elapsed = np.cumsum(ints(chunk["step"].flatten()))
    before = np.append(0, elapsed)[np.cumsum(length) - length]  # first steps are 0
    opening = ints(chunk["start"]) - before
    numbers = [
        np.repeat(ints(chunk["slot"]), length),
        ranges(ints(chunk["first"]), length),
        ints(chunk["item"].flatten()),
        ints(chunk["actions"].flatten()),
        np.repeat(opening, length) + elapsed,
    ]
    categories = [chunk[f"category:{name}"].flatten().cast(IDS) for name in spec.categories]
    return pa.table([*map(pa.array, numbers), *categories], schema=contents_schema(spec))


def in_order(parts: list[pa.Table], spec: Spec) -> pa.Table:
    """All contents by slot and ordinal."""
    every = pa.concat_tables([contents_schema(spec).empty_table(), *parts])
    if len(parts) < 2:
        return every
    return every.take(np.lexsort((ints(every["ordinal"]), ints(every["slot"]))))


def newest(contents: pa.Table, count: int) -> pa.Table:
    """The newest `count` contents of each slot; `contents` stand by slot and ordinal."""
    starts, lengths = runs(is_first(ints(contents["slot"])))
    after = np.repeat(starts + lengths, lengths) - np.arange(contents.num_rows)
    return contents.filter(pa.array(after <= count))


def _narrow(values: pa.Array) -> pa.Array:
    """The same integers in the narrowest type that holds them."""
    low, high = pc.min_max(values).as_py().values()
    for width in _WIDTHS:
        edge = 1 << (width.bit_width - 1)
        if low is None or (-edge <= low and high < edge):
            return values.cast(width)
    return values


def _offsets(lists: pa.Array) -> pa.Array:
    """The offsets of a list column as if it began at 0; a null list is empty."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    return pa.array(np.append(0, np.cumsum(np.asarray(lengths))), pa.int32())
