"""Contents of past sessions as they are kept between firings: small, and quick to read in part.

A chunk has one row for each slot and run of contents: a list of the contents, each its item,
actions, categories, and the time since the one before. Integers are as narrow as their range in
the chunk allows, those of a wide range are kept once and numbered where that is smaller, and
categories are plain integers where each content has just one. So a token takes 3 to 8 bytes (a
content is two tokens).
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from schemas.observations import IDS
from schemas.spec import Spec
from transforms.core.arrays import Ints, ints, is_first, ranges, runs, sums_before
from transforms.core.lists import empty_lists

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
    fields = {
        "item": _narrow(contents["item"].combine_chunks()),
        "actions": _narrow(contents["actions"].combine_chunks()),
        "step": _narrow(pa.array(step)),
    }
    for name in contents.column_names[len(_NUMBERS) :]:
        fields[name] = _narrow_lists(contents[name].combine_chunks())
    epoch = int(time.min()) if len(time) else 0
    offsets = pa.array(np.append(opening, len(slot)), pa.int32())
    each = pa.StructArray.from_arrays(list(fields.values()), list(fields))
    columns = {
        "slot": _narrow(pa.array(slot[opening])),
        "first": _narrow(pa.array(ints(contents["ordinal"])[opening])),
        "start": _narrow(pa.array(time[opening] - epoch)),
        "contents": pa.ListArray.from_arrays(offsets, each),
    }
    return pa.RecordBatch.from_pydict(columns, metadata={"epoch": str(epoch)})


def of_slots(chunk: pa.RecordBatch, slots: Ints) -> pa.RecordBatch:
    """What a chunk has of some slots (ascending)."""
    held = ints(chunk["slot"])
    mine = np.flatnonzero(np.append(slots, -1)[np.searchsorted(slots, held)] == held)
    return chunk.take(pa.array(mine)) if len(mine) else chunk.slice(0, 0)


def unpacked(chunk: pa.RecordBatch, spec: Spec) -> pa.Table:
    """The contents of a chunk."""
    epoch = int(chunk.schema.metadata[b"epoch"])
    length = ints(pc.list_value_length(chunk["contents"]))
    each = chunk["contents"].flatten()
    elapsed = np.cumsum(_wide(each.field("step")))
    before = np.append(0, elapsed)[np.cumsum(length) - length]  # first steps are 0
    opening = epoch + ints(chunk["start"]) - before
    numbers = [
        np.repeat(ints(chunk["slot"]), length),
        ranges(ints(chunk["first"]), length),
        _wide(each.field("item")),
        _wide(each.field("actions")),
        np.repeat(opening, length) + elapsed,
    ]
    categories = [_category(each, f"category:{name}") for name in spec.categories]
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
    """The same integers in the narrowest type that holds them, or numbered if that is smaller."""
    low, high = pc.min_max(values).as_py().values()
    for width in _WIDTHS:
        edge = 1 << (width.bit_width - 1)
        if low is None or (-edge <= low and high < edge):
            return values.cast(width)
    coded = values.dictionary_encode()
    number = _narrow(coded.indices)
    smaller = number.nbytes + coded.dictionary.nbytes < values.nbytes
    return pa.DictionaryArray.from_arrays(number, coded.dictionary) if smaller else values


def _wide(values: pa.Array) -> Ints:
    """The integers that `_narrow` narrowed."""
    if pt.is_dictionary(values.type):
        return ints(values.dictionary)[ints(values.indices)]
    return ints(values)


def _category(each: pa.StructArray, name: str) -> pa.Array:
    """The ids of a category; none in chunks from before the spec had it."""
    if each.type.get_field_index(name) < 0:
        return empty_lists(len(each))
    return _wide_lists(each.field(name))


def _narrow_lists(lists: pa.Array) -> pa.Array:
    """Lists of integers narrowed, as plain integers where each list has just one."""
    flat = _narrow(lists.flatten())
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
    if (lengths == 1).all():
        return flat
    return pa.ListArray.from_arrays(pa.array(sums_before(lengths), pa.int32()), flat)


def _wide_lists(narrow: pa.Array) -> pa.Array:
    """The lists that `_narrow_lists` narrowed."""
    if pt.is_list(narrow.type):
        values, lengths = _wide(narrow.flatten()), ints(pc.list_value_length(narrow))
    else:
        values, lengths = _wide(narrow), np.ones(len(narrow), np.int64)
    return pa.ListArray.from_arrays(pa.array(sums_before(lengths), pa.int32()), pa.array(values))
