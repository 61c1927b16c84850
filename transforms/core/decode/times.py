"""Event times of many records at once (S1: the floor, in ms, of the decimal text)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from transforms.core.arrays import Bools, Ints, ints, valid
from transforms.core.decode.column import Column
from transforms.core.decode.values import EARLIEST, LATEST

_DIGITS = r"^[0-9]{1,18}$"
_ISO = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z?$"
_MARGIN = 0.01  # so far from a whole ms, a float's floor is that of its text


def times_ms(column: Column, unit: str) -> tuple[Ints, Bools]:
    """[n] the times in ms, and True where they are certain; others need a closer look."""
    ms, certain = _read(column, unit)
    return ms, certain & column.present & (ms >= EARLIEST) & (ms < LATEST)


def _read(column: Column, unit: str) -> tuple[Ints, Bools]:
    kind = column.values.type
    if unit == "iso8601":
        return _iso(column.values) if pt.is_string(kind) else _none(column)
    if pt.is_int64(kind):
        return _scaled(ints(column.values), unit)
    if pt.is_floating(kind):
        return _floored(np.asarray(column.values.fill_null(np.nan)), unit)
    if pt.is_string(kind):
        digits = pc.fill_null(pc.match_substring_regex(column.values, _DIGITS), False)
        numbers = pc.if_else(digits, column.values, "0").cast(pa.int64())
        ms, certain = _scaled(ints(numbers), unit)
        return ms, certain & np.asarray(digits, dtype=bool)
    return _none(column)


def _none(column: Column) -> tuple[Ints, Bools]:
    n = len(column.values)
    return np.zeros(n, np.int64), np.zeros(n, bool)


def _scaled(number: Ints, unit: str) -> tuple[Ints, Bools]:
    if unit != "s":
        return number // (1000 if unit == "us" else 1), np.ones(len(number), bool)
    sane = (number >= 0) & (number < LATEST)  # out of range either way, and no overflow
    return np.where(sane, number, 0) * 1000, sane


def _floored(
    number: "np.ndarray[tuple[int], np.dtype[np.float64]]", unit: str
) -> tuple[Ints, Bools]:
    """Floats: exact where they are whole ms in text, or far enough from it."""
    factor = {"s": 1000.0, "ms": 1.0, "us": 0.001}[unit]
    sane = np.isfinite(number) & (number >= 0) & (number * factor < LATEST)
    scaled = np.where(sane, number, 0.0) * factor
    nearest = np.rint(scaled)
    whole = (nearest / factor == number) & (unit != "us")
    apart = np.abs(scaled - nearest) > _MARGIN
    return np.where(whole, nearest, np.floor(scaled)).astype(np.int64), sane & (whole | apart)


def _iso(texts: pa.Array) -> tuple[Ints, Bools]:
    usual = pc.fill_null(pc.match_substring_regex(texts, _ISO), False)
    plain = pc.replace_substring(pc.if_else(usual, texts, "2000-01-01T00:00:00"), "Z", "")
    try:
        moments = plain.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # some date that there is not: which one, the closer look tells
        return np.zeros(len(texts), np.int64), np.zeros(len(texts), bool)
    return ints(moments.cast(pa.int64())) // 1000, np.asarray(usual, dtype=bool) & valid(texts)
