"""The few numbers at the top of the page."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from pipeline.analysis import united
from pipeline.report.sums import Sums
from pipeline.report.tables import Kind


@dataclass(frozen=True)
class Fact:
    """A number under its name, and how it is written."""

    name: str
    value: float | None
    kind: Kind = "count"


def facts(sums: Sums) -> list[Fact]:
    """Records, users, contents, sessions; how many times fewer tokens there are, and less cost."""
    raw, kept = sums.total("tokens_raw"), sums.total("tokens_kept")
    raw_cost, cost = sums.total("sequence_raw_cost"), sums.total("sequence_cost")
    return [
        Fact("Records accepted", sums.total("records")),
        Fact("Rejected", sums.total("rejected")),
        Fact("Late", sums.total("late")),
        Fact("Users", distinct(sums, "users")),
        Fact("Contents", distinct(sums, "items")),
        Fact("Sessions", sums.total("sessions")),
        Fact("Sequences", sums.total("sequences")),
        Fact("Raw tokens to one kept", raw / kept if kept else None, "times"),
        Fact("Attention costs less", raw_cost / cost if cost else None, "times"),
    ]


def distinct(sums: Sums, measure: str) -> float:
    """How many users or items there are in all; an estimate where there are many."""
    sketches = sums.sketches.filter(pl.col("measure") == measure)["sketch"]
    return float(united(sketches).get_estimate())


def span(sums: Sums) -> str:
    """The windows of event time that there are, in words."""
    windows: list[datetime] = sums.rows["window"].drop_nulls().unique().sort().to_list()
    if not windows:
        return "no event time yet"
    first, last = windows[0], windows[-1]
    each = "days" if sums.step == 1 else f"windows of {sums.step} days"
    return f"event time from {first:%Y-%m-%d} to {last:%Y-%m-%d}, in {each}"
