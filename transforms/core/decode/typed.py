"""Types that JSON lacks, as JSON would have them: timestamps, dates, decimals, binary strings.

A timestamp reads as a number in the unit of the source's event time, or as ISO 8601 text where
that is the unit; a date as ISO 8601 text; a decimal as a number; binary as the text it holds.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from transforms.core.arrays import Ints, ints, valid
from transforms.core.decode.long_numbers import float_of
from transforms.core.decode.reject import Reason, Rejected

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNREADABLE = (ValueError, OverflowError, NotImplementedError)
_MICROS = {"s": 1_000_000, "ms": 1000, "us": 1}
_FIRST, _LAST = -60_000_000_000_000_000, 250_000_000_000_000_000
"""Microseconds within which a moment has a date, the years 69 to 9892; others become these."""


def json_columns(table: pa.Table, unit: str) -> pa.Table:
    """A table whose timestamps, dates and binary strings are as in JSON, where all of them can be;
    what is left is read record by record (`json_value`)."""
    for place, field in enumerate(table.schema):
        column = _converted(table[place].combine_chunks(), unit)
        if column.type != field.type:
            table = table.set_column(place, field.name, column)
    return table


def json_records(table: pa.Table, unit: str) -> list[dict[str, Any] | Rejected]:
    """The records of a table as JSON would have them; a Rejected for what JSON has no value for."""
    try:
        records = table.to_pylist()
    except _UNREADABLE:  # some have values that Python has none for: which, a row alone tells
        return [_record(table.slice(place, 1), unit) for place in range(table.num_rows)]
    return [_json_record(record, unit) for record in records]


def _record(row: pa.Table, unit: str) -> dict[str, Any] | Rejected:
    try:
        record = row.to_pylist()[0]
    except _UNREADABLE as error:
        return Rejected(Reason.BAD_TYPE, f"holds a value that JSON has not: {error}")
    return _json_record(record, unit)


def _json_record(record: dict[str, Any], unit: str) -> dict[str, Any] | Rejected:
    try:
        return {name: json_value(value, unit) for name, value in record.items()}
    except Rejected as rejected:
        return rejected


def json_value(value: Any, unit: str) -> Any:
    """One value as JSON would have it, lists and records inside included. Raises Rejected."""
    if isinstance(value, Mapping):
        return {str(key): json_value(inner, unit) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner, unit) for inner in value]
    if isinstance(value, date):  # a datetime is one
        return _moment(value, unit) if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, Decimal | bytes):
        return _decimal(value) if isinstance(value, Decimal) else _text(value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise Rejected(Reason.BAD_TYPE, f"a value of type {type(value).__name__} is none that JSON has")


def _converted(array: pa.Array, unit: str) -> pa.Array:
    kind = array.type
    if pt.is_dictionary(kind) or pt.is_run_end_encoded(kind):
        return _converted(_spread(array), unit)
    if pt.is_struct(kind):
        return _struct(array, unit)
    if pt.is_timestamp(kind):
        return _moments(array, unit)
    if pt.is_date(kind):
        return array.cast(pa.date32(), safe=False).cast(pa.string())
    if pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind):
        return _texts(array.cast(pa.large_binary()))
    return array.cast(pa.string()) if pt.is_string_view(kind) else array


def _spread(array: pa.Array) -> pa.Array:
    """A value in each place, of an array that names or writes repeated ones once."""
    if pt.is_run_end_encoded(array.type):
        return pc.run_end_decode(array)
    return array.cast(array.type.value_type)


def _struct(array: pa.Array, unit: str) -> pa.Array:
    """A nested record with its fields converted; of a doubled field the last counts."""
    last = {field.name: place for place, field in enumerate(array.type)}
    columns = array.flatten()
    columns = [_converted(columns[place], unit) for place in last.values()]
    fields = [pa.field(name, column.type) for name, column in zip(last, columns, strict=True)]
    if not fields:
        return pa.nulls(len(array), pa.string())
    return pa.StructArray.from_arrays(columns, fields=fields, mask=pa.array(~valid(array)))


def _moments(array: pa.Array, unit: str) -> pa.Array:
    there = array.is_valid()
    micros = _micros(ints(array.cast(pa.int64())), array.type.unit)
    if unit == "iso8601":
        moments = pa.array(micros).cast(pa.timestamp("us", "UTC"))
        return pc.if_else(there, pc.strftime(moments, format="%Y-%m-%dT%H:%M:%SZ"), None)
    per = _MICROS[unit]
    exact = not (micros % per)[valid(array)].any()
    return pc.if_else(there, pa.array(micros // per if exact else micros / per), None)


def _micros(number: Ints, unit: str) -> Ints:
    """Timestamps of a unit in microseconds, rounded down, within _FIRST to _LAST."""
    if unit == "ns":
        return np.clip(number // 1000, _FIRST, _LAST)
    per = _MICROS[unit]
    return np.clip(number, _FIRST // per, _LAST // per) * per


def _texts(array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:  # some are not UTF-8: which, the reading one by one tells
        return array


def _moment(value: datetime, unit: str) -> Any:
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    if unit == "iso8601":
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    micros, per = (moment - _EPOCH) // timedelta(microseconds=1), _MICROS[unit]
    return micros // per if micros % per == 0 else micros / per


def _decimal(value: Decimal) -> Any:
    if not value.is_finite():
        raise Rejected(Reason.BAD_TYPE, f"{value} is not a number that JSON has")
    return int(value) if value == value.to_integral_value() else float_of(str(value))


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        detail = f"binary that is not UTF-8 text (byte {error.start})"
        raise Rejected(Reason.BAD_TYPE, detail) from None
