"""Columns of texts, JSON, ids and times are those of the values one by one, where they say so."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import HASHED, canonical_json, id_of, text_of
from tests.transforms.core.decode.batches import FLOATS, INTS, STRINGS
from tests.transforms.core.decode.reading import T
from transforms.core.decode.column import Column
from transforms.core.decode.reject import Rejected
from transforms.core.decode.times import times_ms
from transforms.core.decode.values import time_ms

RANDOM = np.random.default_rng(7)


def check(values: list[Any], kind: pa.DataType) -> int:
    """Holds a column against its values, and says how many of these were certain."""
    column = Column(pa.array(values, kind))
    certain = ~column.doubtful
    ids, names = column.ids()
    texts, json = column.texts.to_pylist(), column.json.to_pylist()
    for place, value in enumerate(values):
        if value is None:
            assert (texts[place], json[place], ids[place]) == (None, None, 0)
        elif certain[place]:
            assert (texts[place], json[place]) == (text_of(value), canonical_json(value))
            assert ids[place] == id_of(text_of(value))
            assert ids[place] < HASHED or names[int(ids[place])] == text_of(value)
    return int(certain.sum())


@pytest.mark.parametrize("power", range(-8, 20))
def test_floats_of_every_size(power: int) -> None:
    exact = RANDOM.uniform(1, 10, 300) * 10.0**power
    rounded = np.round(exact, 3)
    certain = check(
        [*exact.tolist(), *rounded.tolist(), *(-exact).tolist(), *np.floor(exact)], pa.float64()
    )
    assert certain >= 900 or not -3 <= power < 10  # or all is looked at again


def test_floats_at_the_edges() -> None:
    edges = [0.0, -0.0, 1e-3, 1e10, 1e15, 2.0**53, 5e-324, 1.7e308]
    near = [float(np.nextafter(edge, way)) for edge in edges for way in (-1e309, 1e309)]
    check([one for one in [*edges, *near] if np.isfinite(one)] + [None], pa.float64())


@given(st.lists(st.one_of(STRINGS, st.none())))
def test_strings(values: list[str | None]) -> None:
    check(values, pa.string())


@given(st.lists(st.one_of(INTS, st.none())))
def test_integers(values: list[int | None]) -> None:
    assert check(values, pa.int64()) == len(values)


@given(st.lists(st.one_of(FLOATS, st.none())))
def test_floats(values: list[float | None]) -> None:
    check(values, pa.float64())


def test_booleans() -> None:
    assert check([True, None, False], pa.bool_()) == 3


def check_times(values: list[Any], kind: pa.DataType, unit: str) -> int:
    """Holds times against those of the values one by one; and says how many were certain."""
    got, certain = times_ms(Column(pa.array(values, kind)), unit)
    for value, ms, sure in zip(values, got.tolist(), certain.tolist(), strict=True):
        if sure:
            assert ms == time_ms(value, unit, "t")
        else:
            try:
                time_ms(value, unit, "t")
            except Rejected:
                continue
    return int(certain.sum())


@pytest.mark.parametrize(
    ("unit", "base", "step"), [("s", T / 1000, 1e-3), ("ms", T, 1.0), ("us", T * 1e3, 1e3)]
)
def test_s1_float_times_are_the_floor_of_their_decimal_text(
    unit: str, base: float, step: float
) -> None:
    n = np.arange(3000)
    whole = (base / step + n) * step if unit != "s" else (T + n) / 1000
    beside = [
        np.nextafter(whole, 0),
        np.nextafter(whole, 1e300),
        whole + step / 2,
        whole + step / 3,
    ]
    assert check_times(whole.tolist(), pa.float64(), unit) >= (0 if unit == "us" else 3000)
    for values in beside:
        check_times(values.tolist(), pa.float64(), unit)
    assert check_times(beside[2].tolist(), pa.float64(), unit) == 3000


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_s1_integer_and_text_times(unit: str) -> None:
    base = {"s": T // 1000, "ms": T, "us": T * 1000}[unit]
    numbers = [
        base,
        base + 1,
        base + 999,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        10**15,
        7_258_118_400_000,
        None,
    ]
    assert check_times(numbers, pa.int64(), unit) >= 3
    written = [
        *map(str, numbers[:-1]),
        f"{base}.5",
        f"+{base}",
        f" {base}",
        "",
        "x",
        "0" * 20,
        None,
    ]
    assert check_times(written, pa.string(), unit) >= 3
    assert check_times([True, None], pa.bool_(), unit) == 0


def test_s1_iso8601_times() -> None:
    usual = [
        "2023-11-14T22:13:20",
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:20.1",
        "2023-11-14T22:13:20.001999Z",
        "1990-01-01T00:00:00",
        "2199-12-31T23:59:59.999999Z",
        "2024-02-29T00:00:00",
    ]
    odd = [
        "1989-12-31T23:59:59.999Z",
        "2200-01-01T00:00:00",
        "2023-11-14",
        "2023-11-14T24:00:00",
        "2023-11-14T22:13:20+01:00",
        "20231114T221320",
        "0000-01-01T00:00:00",
        "",
        "x",
        None,
    ]
    assert check_times([*usual, *odd], pa.string(), "iso8601") in (len(usual), 0)
    assert check_times(usual, pa.string(), "iso8601") == len(usual)
    assert check_times(["2023-02-30T00:00:00", *usual], pa.string(), "iso8601") == 0
    assert check_times([T, None], pa.int64(), "iso8601") == 0
