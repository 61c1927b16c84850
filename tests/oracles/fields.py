"""One field of a record: found by its path, and read as text, texts, number, flag or time."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import floor
from typing import Any

from tests.oracles.raw import RejectionError, Written
from tests.oracles.text import is_scalar, text_of

Record = dict[str, Any]
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MS = {"s": Fraction(1000), "ms": Fraction(1), "us": Fraction(1, 1000), "iso8601": Fraction(1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = 631_152_000_000  # 1990-01-01, ms
END_OF_TIME = 7_258_118_400_000  # 2200-01-01, ms


def read(record: Record, path: str) -> Any:
    """Records: dots reach into nested records, `\\.` is a dot; through a non-record is null."""
    value: Any = record
    for step in re.split(r"(?<!\\)\.", path):
        value = value.get(step.replace("\\.", ".")) if isinstance(value, dict) else None
    return value


def text(record: Record, path: str) -> str | None:
    """The text of a field that may hold one scalar, or null."""
    value = read(record, path)
    if value is None:
        return None
    if not is_scalar(value):
        raise RejectionError("bad_type")
    return text_of(value)


def texts(record: Record, path: str) -> list[str] | None:
    """The texts of a field that may hold one scalar or a list of them, nulls within left out."""
    value = read(record, path)
    if value is None:
        return None
    named = [one for one in (value if isinstance(value, list) else [value]) if one is not None]
    if not all(is_scalar(one) for one in named):
        raise RejectionError("bad_type")
    return [text_of(one) for one in named]


def number(value: Any) -> Decimal | None:
    """A finite number, or numeric text, by its decimal text; None if it is neither."""
    if isinstance(value, bool) or not is_scalar(value):
        return None
    written = value.text if isinstance(value, Written) else text_of(value)
    try:
        return Decimal(written) if _NUMBER.fullmatch(written) else None
    except InvalidOperation:  # an exponent of twenty digits
        return None


def flag(record: Record, path: str) -> bool:
    """SPEC, flags: true, or a number other than 0."""
    value = read(record, path)
    if value is None:
        return False
    if isinstance(value, bool) or value in ("true", "false"):
        return value in (True, "true")
    amount = number(value)
    if amount is None:
        raise RejectionError("bad_type")
    return amount != 0


def user(record: Record, path: str) -> str:
    """SPEC, user: a string that is not empty, or an integer, by its text."""
    value = read(record, path)
    if value is None or value == "":
        raise RejectionError("missing_user")
    if isinstance(value, bool) or not is_scalar(value):
        raise RejectionError("bad_type")
    if isinstance(value, float) and not value.is_integer():
        raise RejectionError("bad_type")
    return text_of(value)


def time(record: Record, path: str, unit: str) -> int:
    """S1, Records: the event time in whole ms, rounded down from the decimal text."""
    value = read(record, path)
    if value is None:
        raise RejectionError("missing_time")
    exact = _date(value) if unit == "iso8601" else number(value)
    if exact is None:
        raise RejectionError("bad_time")
    if not EARLIEST / _MS[unit] <= exact < END_OF_TIME / _MS[unit]:
        raise RejectionError("bad_time")
    return floor(Fraction(exact) * _MS[unit])


def _date(value: Any) -> Fraction | None:
    """SPEC, iso8601: ms since 1970 of a date, in UTC where it names no zone."""
    try:
        date = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    since = (date if date.tzinfo else date.replace(tzinfo=UTC)) - _EPOCH
    return Fraction(since // timedelta(microseconds=1), 1000)


def matches(record: Record, match: dict[str, Any] | None) -> bool:
    """SPEC, `where` and `end`: whether a field, or any element of it, is among the values."""
    if match is None:
        return False
    wanted = {text_of(value) for value in match["in"]}
    return any(one in wanted for one in texts(record, match["field"]) or [])
