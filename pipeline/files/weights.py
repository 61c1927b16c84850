"""How many bytes each row of a table holds."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.fetched import Int64s

VALUE_BYTES = 16
"""What a value counts beside its bytes, of which nulls and flags have next to none: as an object
of Python, as slow ways make one of it, it has far more."""


def oversize(table: pa.Table, limit: int) -> Int64s:
    """Bytes of each row [rows]; all 0 where the table as a whole shows that none is over `limit`.

    Counted are the lengths of strings and binaries, and the widths of numbers, in lists and
    structs too; of values that several rows share, in a dictionary or a view, in each of them.
    """
    if table.nbytes <= limit and not _any_shares(table):
        return np.zeros(table.num_rows, dtype=np.int64)
    weights = np.zeros(table.num_rows, dtype=np.int64)
    for column in table.columns:
        weights += np.concatenate([_weights(chunk) for chunk in column.chunks] or [weights[:0]])
    return weights


def held(table: pa.Table) -> int:
    """Bytes that a table holds when nothing in it is shared, with VALUE_BYTES for each value."""
    size = int(oversize(table, 0).sum()) if _any_shares(table) else int(table.nbytes)
    return size + VALUE_BYTES * sum(_values(chunk) for c in table.columns for chunk in c.chunks)


def _values(array: pa.Array) -> int:
    """Values of an array, nested ones too; those that are shared as often as they lie there."""
    kind = array.type
    if pa.types.is_struct(kind):
        return len(array) + sum(map(_values, array.flatten()))
    if _is_list(kind) and not pa.types.is_map(kind):
        return len(array) + _values(pc.list_flatten(array))
    if pa.types.is_map(kind):
        return len(array) + _values(array.keys) + _values(array.items)
    return len(array)


def _any_shares(table: pa.Table) -> bool:
    return any(_shares(field.type) for field in table.schema)


def _weights(array: pa.Array) -> Int64s:
    """Bytes of each value [n]."""
    for holds, weigh in _WAYS:
        if holds(array.type):
            return weigh(array)
    return np.full(len(array), _width(array.type), dtype=np.int64)


def _of_extensions(array: pa.ExtensionArray) -> Int64s:
    return _weights(array.storage)


def _of_dictionaries(array: pa.DictionaryArray) -> Int64s:
    weights = np.append(_weights(array.dictionary), 0)
    return weights[_numbers(pc.fill_null(pc.cast(array.indices, pa.int64()), len(weights) - 1))]


def _of_structs(array: pa.StructArray) -> Int64s:
    fields = (_weights(field) for field in array.flatten())
    return sum(fields, start=np.zeros(len(array), dtype=np.int64))


def _of_bytes(array: pa.Array) -> Int64s:
    return _numbers(pc.fill_null(pc.cast(pc.binary_length(array), pa.int64()), 0))


def _of_lists(array: pa.Array) -> Int64s:
    if pa.types.is_map(array.type):
        entries = pa.struct([array.type.key_field, array.type.item_field])
        array = array.cast(pa.list_(entries))
    parents = _numbers(pc.cast(pc.list_parent_indices(array), pa.int64()))
    inner = _weights(pc.list_flatten(array))
    return np.bincount(parents, weights=inner, minlength=len(array)).astype(np.int64)


def _of_runs(array: pa.RunEndEncodedArray) -> Int64s:
    ends = _numbers(array.run_ends)
    run = np.searchsorted(ends, np.arange(array.offset, array.offset + len(array)), side="right")
    return _weights(array.values)[run]


def _of_list_views(array: pa.Array) -> Int64s:
    before = np.append(0, np.cumsum(_weights(array.values)))
    start = _numbers(array.offsets)
    weights = before[start + _numbers(array.sizes)] - before[start]
    return np.where(_valid(array), weights, 0)


def _of_views(array: pa.Array) -> Int64s:
    """A view begins with the length of its value, as an int32 of 16 bytes."""
    length = np.frombuffer(array.buffers()[1], np.int32)[::4][array.offset :][: len(array)]
    return np.where(_valid(array), length, 0).astype(np.int64)


def _valid(array: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)


def _numbers(array: pa.Array) -> Int64s:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)


def _shares(kind: pa.DataType) -> bool:
    """Whether rows of a type may hold the same bytes, so that they are more than lie there."""
    of = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _shares(kind.storage_type)
    if of.is_dictionary(kind) or of.is_run_end_encoded(kind) or _is_view(kind):
        return True
    inner = (kind.field(place).type for place in range(kind.num_fields))
    return _is_list_view(kind) or any(map(_shares, inner))


def _is_list_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind) or pa.types.is_binary_view(kind))


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


_WAYS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], Int64s]], ...] = (
    (lambda kind: isinstance(kind, pa.BaseExtensionType), _of_extensions),
    (pa.types.is_dictionary, _of_dictionaries),
    (pa.types.is_run_end_encoded, _of_runs),
    (pa.types.is_struct, _of_structs),
    (_is_list, _of_lists),
    (_is_list_view, _of_list_views),
    (_is_view, _of_views),
    (_is_bytes, _of_bytes),
)


def _width(kind: pa.DataType) -> int:
    try:
        return (int(kind.bit_width) + 7) // 8
    except ValueError:
        # Null, views and unions have no width of their own.
        return 0
