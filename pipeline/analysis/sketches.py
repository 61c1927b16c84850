"""Sketches of statistics, united and compared: how many there are, and what is new."""

from collections.abc import Iterable

import polars as pl
from datasketches import compact_theta_sketch, theta_a_not_b, theta_union

from transforms.core.sketches import LG_K


def united(sketches: Iterable[bytes]) -> compact_theta_sketch:
    """The sketch of all members of some. Raises ValueError for bytes that are no sketch."""
    union = theta_union(LG_K)
    for sketch in sketches:
        union.update(_read(sketch))
    return union.get_result()


def changes(statistics: pl.DataFrame, measure: str, feature: str | None = None) -> pl.DataFrame:
    """By day how many there were of `users`, `items` or `values`, how many of them in no day
    before, and how many there had been in all up to then; estimates where there are many.

    Columns: window_start, distinct, new, returning, known (with this day). `statistics` are rows
    of `statistics/` that are not void. Raises ValueError for a measure that is no sketch.
    """
    mine = statistics.filter(
        (pl.col("measure") == measure) & pl.col("feature").eq_missing(pl.lit(feature))
    )
    if mine["sketch"].null_count():
        raise ValueError(f"measure {measure}: has values; sketches are users, items and values")
    known, rows = united(()), []
    for (day,), each in mine.sort("window_start").group_by("window_start", maintain_order=True):
        today = united(each["sketch"])
        new = theta_a_not_b().compute(today, known).get_estimate()
        known = united((known.serialize(), today.serialize()))
        distinct = today.get_estimate()
        rows.append((day, distinct, new, distinct - new, known.get_estimate()))
    schema: list[tuple[str, pl.DataType]] = [("window_start", statistics.schema["window_start"])]
    schema += [(name, pl.Float64()) for name in ("distinct", "new", "returning", "known")]
    return pl.DataFrame(rows, schema, orient="row")


def _read(sketch: bytes) -> compact_theta_sketch:
    try:
        return compact_theta_sketch.deserialize(sketch)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"not a theta sketch: {error}") from error
