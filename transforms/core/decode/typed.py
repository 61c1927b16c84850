"""Types that JSON lacks, as JSON would have them: timestamps, dates, decimals, binary strings.

A timestamp reads as a number in the unit of the source's event time, or as ISO 8601 text where
that is the unit; a date as ISO 8601 text; a decimal as a number; binary as the text it holds.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from transforms.core.arrays import ints, valid
from transforms.core.decode.reject import Reason, Rejected

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS = {"s": 1_000_000, "ms": 1000, "us": 1}


def json_columns(table: pa.Table, unit: str) -> pa.Table:
    """A table whose timestamps, dates and binary strings are as in JSON, where all of them can be;
    what is left is read record by record (`json_value`)."""
    for place, field in enumerate(table.schema):
        convert = _converter(field.type, unit)
        if convert is not None:
            table = table.set_column(place, field.name, convert(table[field.name].combine_chunks()))
    return table


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


def _converter(kind: pa.DataType, unit: str) -> Callable[[pa.Array], pa.Array] | None:
    if pt.is_timestamp(kind):
        return lambda array: _moments(array, unit)
    if pt.is_date(kind):
        return lambda array: array.cast(pa.date32()).cast(pa.string())
    if pt.is_binary(kind) or pt.is_large_binary(kind):
        return _texts
    return None


def _moments(array: pa.Array, unit: str) -> pa.Array:
    there = array.is_valid()
    micros = array.cast(pa.timestamp("us", array.type.tz), safe=False)
    if unit == "iso8601":
        return pc.strftime(micros.cast(pa.timestamp("us", "UTC")), format="%Y-%m-%dT%H:%M:%SZ")
    number = ints(micros.cast(pa.int64()))
    per = _MICROS[unit]
    exact = not (number % per)[valid(array)].any()
    return pc.if_else(there, pa.array(number // per if exact else number / per), None)


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
    return int(value) if value == value.to_integral_value() else float(value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        detail = f"binary that is not UTF-8 text (byte {error.start})"
        raise Rejected(Reason.BAD_TYPE, detail) from None
