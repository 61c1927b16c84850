"""Rows of statistics without those that a crash made void (docs/statistics.md)."""

import polars as pl


def counted(statistics: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of one folder's `statistics/` that are not void: those that no row of the same
    origin, written later, has set back."""
    marks = statistics.select("origin", "position", "written").drop_nulls("position").unique()
    first = marks.group_by("origin", "written").agg(pl.col("position").min())
    first = first.sort("origin", "written", descending=[False, True])
    least = pl.col("position").cum_min().shift().over("origin").alias("set_back")
    later = first.select("origin", "written", least)
    joined = statistics.join(later, on=["origin", "written"], how="left", maintain_order="left")
    void = (pl.col("position") >= pl.col("set_back")).fill_null(value=False)
    return joined.filter(~void).drop("set_back")
