"""The Arrow types of the fields of JSON records, by a sample of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from transforms.core.decode.plan import Keys
from transforms.core.decode.reject import Rejected
from transforms.core.decode.strict_json import record_of

_SAMPLE = 40
_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}

Tree = dict[str, Any]
"""Field names to an Arrow type, or to the tree of a nested record."""


def schema_of(texts: Sequence[bytes], fields: Sequence[Keys]) -> pa.Schema:
    """The type that each field has in most of the records, strings where it is null in all.

    The records that do not fit it, and those whose field is an object, are not parsed by it.
    """
    sample = list(_sampled(texts))
    tree: Tree = {}
    for keys in sorted(fields, key=len, reverse=True):
        _plant(tree, keys, _type_of([_at(record, keys) for record in sample]))
    return pa.schema(_fields_of(tree))


def with_floats(schema: pa.Schema) -> pa.Schema:
    """The same with floats for integers: exact to 2^53, and what is beyond is looked at again."""
    return pa.schema([field.with_type(_floats(field.type)) for field in schema])


def _floats(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_floats(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_floats(kind.value_type))
    return pa.float64() if pa.types.is_integer(kind) else kind


def has_floats(schema: pa.Schema, fields: Iterable[Keys]) -> bool:
    """Whether any of the fields, by their keys, are floats."""
    return any(pa.types.is_floating(_type_at(schema, keys)) for keys in fields)


def _type_at(schema: pa.Schema, keys: Keys) -> pa.DataType:
    kind: pa.DataType = pa.struct(list(schema))
    for key in keys:
        at = kind.get_field_index(key) if pa.types.is_struct(kind) else -1
        if at < 0:
            return pa.null()
        kind = kind[at].type
    return kind


def _sampled(texts: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for text in texts[:: max(len(texts) // _SAMPLE, 1)]:
        try:
            yield record_of(text)
        except Rejected:
            continue


def _at(record: Any, keys: Keys) -> Any:
    for key in keys:
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record


def _type_of(values: list[Any]) -> pa.DataType:
    there = [value for value in values if value is not None]
    kinds = Counter(_kind(value) for value in there)
    if kinds[float] and kinds[int]:
        kinds[float] += kinds.pop(int)
    kind = max(kinds, key=kinds.__getitem__, default=str)
    if kind is list:
        lists = [value for value in there if isinstance(value, list)]
        return pa.list_(_type_of([inner for value in lists for inner in value]))
    return _TYPES.get(kind, pa.string())


def _kind(value: Any) -> type:
    return next((kind for kind in (list, float) if isinstance(value, kind)), type(value))


def _plant(tree: Tree, keys: Keys, kind: pa.DataType) -> None:
    """Puts a field into the tree; one that others lead through is an object, so it has no type."""
    *outer, last = keys
    for key in outer:
        tree = tree.setdefault(key, {})
    tree.setdefault(last, kind)


def _fields_of(tree: Tree) -> list[pa.Field]:
    return [
        pa.field(name, pa.struct(_fields_of(kind)) if isinstance(kind, dict) else kind)
        for name, kind in tree.items()
    ]
