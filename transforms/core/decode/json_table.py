"""Many JSON records as one table, where that is certain to read each exactly.

Arrow's parser is several times faster than one that reads record by record, and stricter about
types: a field must have one JSON type throughout. What it would take that is not JSON, or not one
record a text, is ruled out beforehand; anything else that is odd makes it refuse, and the caller
reads smaller pieces, in the end record by record.
"""

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json as pj

from transforms.core.decode.plan import Keys
from transforms.core.decode.reject import Rejected
from transforms.core.decode.strict_json import DEEPEST, openings, record_of

_SAMPLE = 40
_CONSTANT = re.compile(rb"[:\[,]\s*[-+]?(?:NaN|Inf)")
_EXACT = 1 << 53
_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}

Tree = dict[str, Any]
"""Field names to an Arrow type, or to the tree of a nested record."""


def table_of(texts: Sequence[bytes], fields: Sequence[Keys]) -> pa.Table | None:
    """The fields of these records as a table, or None where that is not certain to be exact."""
    joined = b"\n".join(texts)
    if not _is_plain(joined, texts):
        return None
    schema = _schema(texts, fields)
    if schema is None:
        return None
    try:
        table = pj.read_json(
            pa.BufferReader(joined),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(joined) + 1),
            parse_options=pj.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="ignore"
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    return table if table.num_rows == len(texts) else None


def _is_plain(joined: bytes, texts: Sequence[bytes]) -> bool:
    """Whether each text is one object on one line, of valid UTF-8, without NaN and deep nests."""
    between = len(texts) - 1
    if not (joined.startswith(b"{") and joined.endswith(b"}")):
        return False
    if joined.count(b"\n") != between or joined.count(b"}\n{") != between:
        return False
    if _CONSTANT.search(joined) or any(
        len(text) > 2 * DEEPEST and openings(text) > DEEPEST for text in texts
    ):
        return False
    try:
        joined.decode()
    except UnicodeDecodeError:
        return False
    return True


def _schema(texts: Sequence[bytes], fields: Sequence[Keys]) -> pa.Schema | None:
    """The types of the fields by a sample of the records; None where a field has no one type."""
    try:
        sample = [record_of(text) for text in texts[:: max(len(texts) // _SAMPLE, 1)]]
        tree: Tree = {}
        for keys in fields:
            _plant(tree, keys, _type_of([_at(record, keys) for record in sample]))
    except (Rejected, _NoOneType):
        return None
    return pa.schema(_fields_of(tree))


class _NoOneType(Exception):
    """A field whose values have no common Arrow type."""


def _at(record: Any, keys: Keys) -> Any:
    for key in keys:
        if record is None:
            return None
        if not isinstance(record, dict):
            raise _NoOneType
        record = record.get(key)
    return record


def _type_of(values: list[Any]) -> pa.DataType:
    """The type of values that are not null; a float column takes integers that it holds."""
    there = [value for value in values if value is not None]
    if not there:
        return pa.string()
    kinds = {type(value) for value in there}
    if kinds == {list}:
        return pa.list_(_type_of([inner for value in there for inner in value]))
    if kinds == {int, float} and all(abs(value) < _EXACT for value in there):
        return pa.float64()
    if len(kinds) > 1 or kinds & {dict, list}:
        raise _NoOneType
    return _TYPES[kinds.pop()]


def _plant(tree: Tree, keys: Keys, kind: pa.DataType) -> None:
    *outer, last = keys
    for key in outer:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise _NoOneType
    if isinstance(tree.get(last), dict):
        raise _NoOneType
    tree[last] = kind


def _fields_of(tree: Tree) -> list[pa.Field]:
    return [
        pa.field(name, pa.struct(_fields_of(kind)) if isinstance(kind, dict) else kind)
        for name, kind in tree.items()
    ]
