"""What an Avro schema says of its values: their Arrow type, and how large they may be."""

from typing import Any

import pyarrow as pa

_PRIMITIVE: dict[str, pa.DataType] = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
    "enum": pa.string(),
}
_LOGICAL: dict[tuple[str, str], pa.DataType] = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time32("ms"),
    ("long", "time-micros"): pa.time64("us"),
    ("long", "timestamp-millis"): pa.timestamp("ms", "UTC"),
    ("long", "timestamp-micros"): pa.timestamp("us", "UTC"),
    ("long", "local-timestamp-millis"): pa.timestamp("ms"),
    ("long", "local-timestamp-micros"): pa.timestamp("us"),
}


def arrow_type(schema: Any) -> pa.DataType | None:
    """The Arrow type of an Avro schema, or None where its values need not fit one type.

    None: a map, a union of more than one type and null, a type named again (it may hold itself),
    and logical types that Arrow has no value for.
    """
    if isinstance(schema, list):
        branches = [branch for branch in schema if branch != "null"]
        return arrow_type(branches[0]) if len(branches) == 1 else None
    if isinstance(schema, str):
        return _PRIMITIVE.get(schema)
    kind = schema["type"]
    return _complex(kind, schema) if isinstance(kind, str) else arrow_type(kind)


def _complex(kind: str, schema: dict[str, Any]) -> pa.DataType | None:
    if logical := schema.get("logicalType"):
        return _logical(kind, logical, schema)
    if kind in ("record", "error"):
        return _struct(schema["fields"])
    if kind == "array":
        items = arrow_type(schema["items"])
        return None if items is None else pa.list_(items)
    return pa.binary(schema["size"]) if kind == "fixed" else _PRIMITIVE.get(kind)


def _struct(fields: list[dict[str, Any]]) -> pa.DataType | None:
    inner = []
    for field in fields:
        kind = arrow_type(field["type"])
        if kind is None:
            return None
        inner.append(pa.field(field["name"], kind))
    return pa.struct(inner)


def _logical(kind: str, logical: str, schema: dict[str, Any]) -> pa.DataType | None:
    if logical == "decimal" and schema["precision"] <= 38:
        return pa.decimal128(schema["precision"], schema.get("scale", 0))
    return _LOGICAL.get((kind, logical))


_LEAST = {"null": 0, "float": 4, "double": 8}
"""The fewest bytes of a value of a type; of others it is 1."""


def raise_if_boundless(schema: Any) -> None:
    """Raises ValueError for a schema by which few bytes make many values: a type within itself,
    which fastavro follows until its stack ends, or records of little but nulls and records."""
    _least_and_free(schema, {})


def _least_and_free(schema: Any, known: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """The fewest bytes of a value, and the most values in it that need no byte of their own."""
    if isinstance(schema, list):
        branches = [_least_and_free(branch, known) for branch in schema]
        return 1 + min(least for least, _ in branches), max(0, *(free - 1 for _, free in branches))
    if isinstance(schema, str):
        if schema not in _PRIMITIVE and schema not in known:
            raise ValueError(f"type {schema} holds itself, which is not read")
        return known.get(schema) or (_LEAST.get(schema, 1), int(schema == "null"))
    kind = schema["type"]
    if not isinstance(kind, str):
        return _least_and_free(kind, known)
    found = _of_complex(kind, schema, known)
    if "name" in schema:
        known[schema["name"]] = found
    return found


def _of_complex(
    kind: str, schema: dict[str, Any], known: dict[str, tuple[int, int]]
) -> tuple[int, int]:
    if kind in ("record", "error"):
        fields = [_least_and_free(field["type"], known) for field in schema["fields"]]
        least, free = sum(part for part, _ in fields), 1 + sum(part for _, part in fields)
        if free > 2 + 2 * least:
            what = f"a record of type {schema['name']}"
            raise ValueError(f"{what} may hold {free} values in {least} bytes, which is not read")
        return least, free
    if kind in ("array", "map"):
        least, _ = _least_and_free(schema["items" if kind == "array" else "values"], known)
        if kind == "array" and least == 0:
            raise ValueError("an array of items that have no bytes, which is not read")
        return 1, 0
    return (int(schema["size"]), 0) if kind == "fixed" else _least_and_free(kind, known)
