"""How many bytes each row of a table holds."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.fetched import Int64s


def oversize(table: pa.Table, limit: int) -> Int64s:
    """Bytes of each row [rows]; all 0 where the table as a whole shows that none is over `limit`.

    Counted are the lengths of strings and binaries, and the widths of numbers, in lists and
    structs too.
    """
    if table.nbytes <= limit:
        return np.zeros(table.num_rows, dtype=np.int64)
    weights = np.zeros(table.num_rows, dtype=np.int64)
    for column in table.columns:
        weights += np.concatenate([_weights(chunk) for chunk in column.chunks] or [weights[:0]])
    return weights


def _weights(array: pa.Array) -> Int64s:
    """Bytes of each value [n]."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _weights(array.storage)
    if isinstance(array, pa.DictionaryArray):
        held = np.append(_weights(array.dictionary), 0)
        return held[_numbers(pc.fill_null(pc.cast(array.indices, pa.int64()), len(held) - 1))]
    if pa.types.is_struct(kind):
        fields = (_weights(field) for field in array.flatten())
        return sum(fields, start=np.zeros(len(array), dtype=np.int64))
    if _is_list(kind):
        return _of_lists(array)
    if _is_bytes(kind):
        return _numbers(pc.fill_null(pc.cast(pc.binary_length(array), pa.int64()), 0))
    return np.full(len(array), _width(kind), dtype=np.int64)


def _of_lists(array: pa.Array) -> Int64s:
    if pa.types.is_map(array.type):
        entries = pa.struct([array.type.key_field, array.type.item_field])
        array = array.cast(pa.list_(entries))
    parents = _numbers(pc.cast(pc.list_parent_indices(array), pa.int64()))
    inner = _weights(pc.list_flatten(array))
    return np.bincount(parents, weights=inner, minlength=len(array)).astype(np.int64)


def _numbers(array: pa.Array) -> Int64s:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)


def _is_list(kind: pa.DataType) -> bool:
    of = pa.types
    return any(
        holds(kind) for holds in (of.is_list, of.is_large_list, of.is_fixed_size_list, of.is_map)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    of = pa.types
    return any(
        holds(kind)
        for holds in (of.is_string, of.is_large_string, of.is_binary, of.is_large_binary)
    )


def _width(kind: pa.DataType) -> int:
    try:
        return (int(kind.bit_width) + 7) // 8
    except ValueError:
        # Null, views and unions have no width of their own.
        return 0
