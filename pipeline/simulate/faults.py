"""What goes wrong on the way: delay, lateness, copies, odd and broken records."""

import numpy as np
import polars as pl

from pipeline.simulate.fates import (
    AMENDED,
    ARRIVAL,
    COPY,
    FATE,
    LATE,
    NUMBER,
    ODD,
    SOUND,
    TIME,
    Shape,
    has_fate,
)
from pipeline.simulate.platform import Bools, Ints, Platform

DELAY_MS = 1_000  # on average
MOST_DELAY_MS = 30_000  # of a record that is not late, and of a copy behind its first
LATE_BY_MS = 900_000  # at least: past any horizon under a quarter of an hour
LATE_MORE_MS = 1_800_000  # on average, on top
_RARE = {"too_large": 0.2}  # these are long; the other damages have the weight 1


def spoil(
    frame: pl.DataFrame, shape: Shape, platform: Platform, rng: np.random.Generator
) -> pl.DataFrame:
    """The records of a source with their arrival and their fates, by arrival.

    Copies are added; damages that a typed record can have are done, the others only marked.
    """
    if shape.faulty:
        frame = _fated(frame, shape, platform, rng)
    frame = frame.with_columns(_arrivals(frame, rng))
    if shape.faulty:
        frame = _altered(_copied(frame, shape, platform, rng), shape)
    return frame.sort(ARRIVAL, maintain_order=True)


def _fated(
    frame: pl.DataFrame, shape: Shape, platform: Platform, rng: np.random.Generator
) -> pl.DataFrame:
    fate = frame[FATE].to_numpy().copy()
    draw = rng.random(fate.size)
    draw[fate != NUMBER[SOUND]] = 1.0
    least = 0.0
    odd = ODD if shape.item else ()
    for share, kinds in (
        (platform.late, (LATE,)),
        (platform.malformed, shape.damages()),
        (platform.odd, odd),
    ):
        hit = (draw >= least) & (draw < least + share)
        if kinds:
            fate[hit] = _kinds(kinds, int(hit.sum()), rng)
        least += share
    return frame.with_columns(pl.Series(FATE, fate))


def _kinds(kinds: tuple[str, ...], count: int, rng: np.random.Generator) -> Ints:
    weight = np.array([_RARE.get(kind, 1.0) for kind in kinds])
    drawn = rng.choice([NUMBER[kind] for kind in kinds], count, p=weight / weight.sum())
    return drawn.astype(np.int64)


def _arrivals(frame: pl.DataFrame, rng: np.random.Generator) -> pl.Series:
    late: Bools = frame.select(has_fate(LATE)).to_series().to_numpy()
    delay = np.minimum(rng.exponential(DELAY_MS, late.size), MOST_DELAY_MS)
    delay[late] = LATE_BY_MS + rng.exponential(LATE_MORE_MS, int(late.sum()))
    return pl.Series(ARRIVAL, frame[TIME].to_numpy() + delay.astype(np.int64))


def _copied(
    frame: pl.DataFrame, shape: Shape, platform: Platform, rng: np.random.Generator
) -> pl.DataFrame:
    """The frame with copies of sound records behind; half of those with a price are amended."""
    sound = frame.select(has_fate(SOUND)).to_series().to_numpy()
    again = frame.filter(sound & (rng.random(sound.size) < platform.duplicates))
    amended = (rng.random(again.height) < 0.5) & ("price" in frame.columns)
    after = rng.integers(0, MOST_DELAY_MS, again.height)
    copies = again.with_columns(
        pl.Series(FATE, np.where(amended, NUMBER[AMENDED], NUMBER[COPY]), dtype=pl.Int8),
        pl.col(ARRIVAL) + pl.Series(after),
    )
    return pl.concat([frame, copies])


def _altered(frame: pl.DataFrame, shape: Shape) -> pl.DataFrame:
    """The frame with what its fates make of user, time, action, item and price."""
    changes = [
        _where("null_user", pl.lit(None, pl.String), shape.user),
        _where("wrong_unit", _wrong_unit(shape), shape.time),
    ]
    if shape.action:
        changes.append(_where("unknown_action", pl.lit("SHRUG"), "kind"))
    if "price" in frame.columns:
        changes.append(_where(AMENDED, pl.col("price").fill_null(0.0).add(1.0).round(2), "price"))
    if shape.item:
        item = "item_id" if "item_id" in frame.columns else "item"
        unicode = pl.concat_str(pl.lit("артикул 🎈 "), pl.col(item))
        long = pl.lit("9" * 10_240)
        changes.append(
            pl.when(has_fate("long_id"))
            .then(long)
            .when(has_fate("unicode_id"))
            .then(unicode)
            .otherwise(pl.col(item))
            .alias(item)
        )
    return frame.with_columns(changes)


def _where(fate: str, value: pl.Expr, column: str) -> pl.Expr:
    return pl.when(has_fate(fate)).then(value).otherwise(pl.col(column)).alias(column)


def _wrong_unit(shape: Shape) -> pl.Expr:
    """The time in s where ms are due, in ms where s are due, in s where a date is due."""
    if shape.per_second is None:
        return (pl.col(TIME) // 1000).cast(pl.String)
    return pl.col(TIME) if shape.per_second == 1 else pl.col(TIME) // 1000
