"""The Arrow type of an Avro schema, where there is one that holds every value of it."""

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
