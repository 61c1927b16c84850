"""One value of a record, as what its use allows (docs/spec.md, Records)."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation
from typing import Any

from schemas.ids import text_of
from transforms.core.decode.long_numbers import WrittenFloat, decimal_text
from transforms.core.decode.reject import Reason, Rejected

EARLIEST = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp() * 1000)
LATEST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000)
"""The event times that are taken, ms: from EARLIEST up to, not including, LATEST."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_POWER = {"s": 3, "ms": 0, "us": -3}
_SHOWN = 80


def found(record: Any, keys: tuple[str, ...]) -> Any:
    """The value at a path; null where the path leads through something that is no record."""
    for key in keys:
        if not isinstance(record, Mapping):
            return None
        record = record.get(key)
    return record


def scalar_text(value: Any, path: str) -> str:
    """The text of a string, number or boolean."""
    if not isinstance(value, str | int | float):
        raise _bad_type(path, value, "a string, number or boolean")
    try:
        return text_of(value)
    except ValueError as error:
        raise Rejected(Reason.BAD_TYPE, f"{path}: {error}") from None


def scalar_texts(value: Any, path: str) -> list[str]:
    """The texts of one scalar or of a list of scalars, whose nulls are left out."""
    if isinstance(value, list):
        return [scalar_text(one, path) for one in value if one is not None]
    return [] if value is None else [scalar_text(value, path)]


def user_text(value: Any, path: str) -> str:
    """The text of a user: a string that is not empty, or an integer."""
    if value is None or value == "":
        raise Rejected(Reason.MISSING_USER, f"{path} is {'absent' if value is None else 'empty'}")
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not (isinstance(value, str) or whole):
        raise _bad_type(path, value, "a string or an integer")
    return text_of(value)


def number(value: Any, path: str, right: str = "a number or numeric text") -> Decimal:
    """A number, or numeric text, by its decimal text; `right` is what else would have been so."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        exact = _decimal(decimal_text(value))
        if exact is not None:
            return exact
    raise _bad_type(path, value, right)


def _decimal(text: str) -> Decimal | None:
    """The number that a text is, None for other texts and exponents of twenty digits."""
    try:
        return Decimal(text) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:
        return None


def flag(value: Any, path: str) -> bool:
    """Whether a flag is set: true, or a number that is not 0."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if value in ("true", "false"):
        return bool(value == "true")
    return number(value, path, "true, false, a number or numeric text") != 0


def time_ms(value: Any, unit: str, path: str) -> int:
    """An event time in whole ms, the floor of its decimal text, within what is taken."""
    if value is None:
        raise Rejected(Reason.MISSING_TIME, f"{path} is absent")
    if isinstance(value, list | Mapping):
        raise _bad_type(path, value, "a time")
    ms = _iso_ms(value) if unit == "iso8601" else _decimal_ms(value, unit)
    if ms is None:
        right = "an ISO 8601 date" if unit == "iso8601" else f"a number of {unit}"
        raise Rejected(Reason.BAD_TIME, f"{path}={shown(value)}: must be {right} in 1990 to 2199")
    return ms


def _decimal_ms(value: Any, unit: str) -> int | None:
    if isinstance(value, bool):
        return None
    text = decimal_text(value)
    exact, power = _decimal(text), _POWER[unit]
    if exact is None or not Decimal(EARLIEST).scaleb(-power) <= exact < Decimal(LATEST).scaleb(
        -power
    ):
        return None
    wide = Context(prec=len(text) + 10)
    return int(exact.scaleb(power, wide).to_integral_value(ROUND_FLOOR, wide))


def _iso_ms(value: Any) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        ms = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError):
        return None
    return ms // _MS if EARLIEST <= ms // _MS < LATEST else None


def shown(value: Any) -> str:
    """A value for a message as JSON writes it, cut to a bearable length."""
    text = str(value) if isinstance(value, WrittenFloat) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _bad_type(path: str, value: Any, right: str) -> Rejected:
    return Rejected(Reason.BAD_TYPE, f"{path}={shown(value)}: must be {right}")
