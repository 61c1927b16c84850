"""How many bytes the values of records take, row by row, whatever batch they stand in."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from transforms.core.arrays import Ints, ints, sums_before, valid


def row_bytes(table: pa.Table) -> Ints:
    """[n] the bytes of each row's values in Arrow's layout, without offsets and null bits; values
    of types that JSON lacks have none."""
    sizes = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        sizes += _sizes(column.combine_chunks())
    return sizes


def _sizes(values: pa.Array) -> Ints:
    """[n] the bytes of each value; nulls have none."""
    kind = values.type
    if pt.is_struct(kind):
        fields = (_sizes(field) for field in values.flatten())
        inside: Ints = np.add.reduce([np.zeros(len(values), np.int64), *fields])
        return np.where(valid(values), inside, 0)
    if pt.is_list(kind) or pt.is_large_list(kind):
        length = ints(pc.list_value_length(values))
        ends, inner = np.cumsum(length), sums_before(_sizes(values.flatten()))
        between: Ints = inner[ends] - inner[ends - length]
        return between
    if pt.is_string(kind) or pt.is_large_string(kind):
        return ints(pc.binary_length(values))
    if pt.is_boolean(kind):
        return valid(values).astype(np.int64)
    if pt.is_primitive(kind):
        return np.where(valid(values), kind.bit_width // 8, 0)
    return np.zeros(len(values), np.int64)
