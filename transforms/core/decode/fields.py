"""The fields of a source in a table of its records: scalars, or lists of scalars, by path."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from transforms.core.arrays import Bools, Ints, ints, sums_before, valid
from transforms.core.decode.column import Column, is_list, plain_list, scalars


@dataclass(frozen=True)
class Field:
    """A field [n]. Where it is one of lists, `lists` has them and `column` their elements, one
    after the other; else `lists` is None and `column` has the values themselves."""

    column: Column
    lists: pa.Array | None = None

    @property
    def present(self) -> Bools:
        """[n] True where the field is not null."""
        return self.column.present if self.lists is None else valid(self.lists)

    @cached_property
    def lengths(self) -> Ints:
        """[n] how many values each record has."""
        if self.lists is None:
            return self.present.astype(np.int64)
        return ints(pc.list_value_length(self.lists))

    @cached_property
    def row(self) -> Ints:
        """The record of each value."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def doubtful(self) -> Bools:
        """[n] True where the record needs a closer look; a null within a list is such a case."""
        if self.lists is None:
            return self.column.doubtful
        of_value = self.column.doubtful | ~self.column.present
        return np.bincount(self.row, of_value, len(self.lists)) > 0

    @cached_property
    def json(self) -> pa.Array:
        """[n] the JSON of each record's value."""
        if self.lists is None:
            return self.column.json
        offsets = pa.array(sums_before(self.lengths), pa.int32())
        inner = pa.ListArray.from_arrays(offsets, self.column.json)
        joined = pc.binary_join_element_wise("[", pc.binary_join(inner, ","), "]", "")
        return pc.if_else(self.lists.is_valid(), joined, None)

    def json_in_quotes(self) -> tuple[pa.Array, str]:
        """[n] the JSON of each record's value without the quotes around it; and these."""
        if self.lists is None and pt.is_string(self.column.values.type):
            return self.column.values, '"'
        return self.json, ""

    def values(self) -> tuple[Column, Ints]:
        """All values that are not null, and the record of each."""
        if self.lists is not None:
            return self.column, self.row
        there = np.flatnonzero(self.present)
        return Column(self.column.values.take(there), _at(self.column.unreadable, there)), there


Fields = dict[str, Field]
"""The fields of a source, by path."""


def field_of(table: pa.Table, keys: tuple[str, ...]) -> Field:
    """The field at a path. What is absent, or lies beyond something that is no record, is null."""
    array = _leaf(table, keys)
    if not is_list(array):
        return Field(scalars(array))
    lists = plain_list(array)
    return Field(scalars(lists.flatten()), lists)


def _leaf(table: pa.Table, keys: tuple[str, ...]) -> pa.Array:
    if keys[0] not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    array = table[keys[0]].combine_chunks()
    for key in keys[1:]:
        at = array.type.get_field_index(key) if pt.is_struct(array.type) else -1
        if at < 0:
            return pa.nulls(table.num_rows, pa.string())
        array = pc.struct_field(array, [at])  # null where the record around it is
    return array.cast(pa.string()) if pt.is_null(array.type) else array


def _at(mask: Bools | None, places: Ints) -> Bools | None:
    return None if mask is None else mask[places]
