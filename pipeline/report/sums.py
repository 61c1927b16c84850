"""Sums of statistics, and what is read off them: totals, distributions, quantiles and curves.

docs/statistics.md says what each measure counts, and how buckets are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from pipeline.analysis import counted
from pipeline.report.folder import STATISTICS, Folder
from transforms.core.sketches import THETA

MOST_WINDOWS = 62
"""Windows that a chart over time shows, at most."""

Buckets = list[tuple[float, float]]
"""Upper ends, ascending, and the sums of what is in each bucket."""


@dataclass(frozen=True)
class Sums:
    """The values of statistics by window [day], measure, source, feature and key; windows are
    of `step` days, and null where a count has no time. `sketches` are by `window_start`, the
    same windows, measure and feature."""

    rows: pl.DataFrame
    sketches: pl.DataFrame
    step: int

    def total(self, measure: str) -> float:
        """The sum of all of a measure."""
        return float(self._of(measure)["value"].sum())

    def by(self, measure: str, *columns: str) -> dict[tuple[str | None, ...], float]:
        """The sums of a measure by some of source, feature and key, the largest first."""
        grouped = self._of(measure).group_by(*columns).agg(pl.col("value").sum())
        rows = grouped.sort("value", *columns, descending=[True, *(False for _ in columns)])
        return {row[:-1]: row[-1] for row in rows.iter_rows()}

    def by_window(self, measure: str, *columns: str) -> pl.DataFrame:
        """The sums of a measure by window and columns, where the window is known."""
        there = self._of(measure).filter(pl.col("window").is_not_null())
        return there.group_by("window", *columns).agg(pl.col("value").sum()).sort("window")

    def buckets(self, measure: str, **where: str) -> Buckets:
        """A distribution: of those with this source or feature, or of all."""
        rows = self._of(measure).filter(*(pl.col(k) == v for k, v in where.items()))
        end = pl.col("key").cast(pl.Float64).alias("end")
        return list(rows.group_by(end).agg(pl.col("value").sum()).sort("end").iter_rows())

    def _of(self, measure: str) -> pl.DataFrame:
        return self.rows.filter(pl.col("measure") == measure)


def sums_of(folder: Folder) -> Sums:
    """The sums of a folder's statistics, without what a crash made void."""
    there = counted(folder.scan(STATISTICS)).with_columns(
        pl.col("window_start").dt.truncate("1d").alias("window")
    )
    names = ["window", "measure", "source", "feature", "key"]
    values = there.filter(pl.col("value").is_not_null())
    rows = values.group_by(names).agg(pl.col("value").sum()).collect()
    step = step_of(rows["window"].drop_nulls().unique().sort().to_list())
    wider = pl.col("window").dt.truncate(f"{step}d")
    sets = there.filter(pl.col("sketch_kind") == THETA).select(
        "measure", "feature", "sketch", wider.alias("window_start")
    )
    return Sums(rows.with_columns(wider), sets.collect(), step)


def step_of(days: Sequence[datetime]) -> int:
    """How many days a window must have for all days to be few enough windows."""
    if not days:
        return 1
    span = (days[-1] - days[0]).days + 1
    return next(step for step in (1, 7, 28, 91, 364, 3640, 10**6) if span <= step * MOST_WINDOWS)


def above(buckets: Buckets, bound: float) -> float:
    """The sum over what is above a bucket's end."""
    return sum(value for end, value in buckets if end > bound)


def up_to(buckets: Buckets, bound: float) -> float:
    """The sum over what is at most a bucket's end."""
    return sum(value for end, value in buckets if end <= bound)


def quantile(buckets: Buckets, share: float) -> float | None:
    """The end of the bucket that a quantile is in; None of nothing."""
    wanted, seen = share * sum(value for _, value in buckets), 0.0
    for end, value in buckets:
        seen += value
        if seen >= wanted and value:
            return end
    return None
