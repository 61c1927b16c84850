"""How contents, users and values of features grow and churn, from sketches."""

from collections.abc import Iterator

import polars as pl
from datasketches import theta_a_not_b

from pipeline.analysis import changes, united
from pipeline.report.sums import Sums
from pipeline.report.tables import Column, Figure, Section, Table

MOST_FEATURES = 25

_HEADS = [
    Column("From", "day"),
    Column("Distinct"),
    Column("New"),
    Column("Returning"),
    Column("Known so far"),
    Column("Also in the window before", "share"),
]


def vocabulary(sums: Sums) -> Section:
    """The section on growth and churn."""
    items, users = over_time(sums, "items"), over_time(sums, "users")
    window = "day" if sums.step == 1 else f"window of {sums.step} days"
    answer = "Nothing has come yet."
    if items.rows:
        answer = (
            f"{items.rows[-1][4]:,.0f} contents and {users.rows[-1][4]:,.0f} users are known; of "
            f"the contents in the last {window}, {items.rows[-1][2]:,.0f} were new."
        )
    note = "Beyond 4,096 members numbers are estimates, within 3 % or so."
    figures = [
        Figure("Contents", f"Contents engaged with in each {window}: new ones, and ones that were "
               f"there before. {note}", items, "columns", ("Returning", "New")),
        Figure("Users", f"Users with contents in each {window}. {note}", users, "columns",
               ("Returning", "New")),
        Figure("Contents and users known", "All that there have been up to each window.",
               growth(items, users), "lines"),
        Figure("Values of features", "Values that began to hold, in all and in the last window.",
               features(sums)),
    ]  # fmt: skip
    return Section("vocabulary", "How does the vocabulary grow and churn?", answer, figures)


def over_time(sums: Sums, measure: str, feature: str | None = None) -> Table:
    """By window how many there were, how many of them new and returning, how many there had been,
    and the share of them that was in the window before."""
    by = changes(sums.sketches, measure, feature)
    return Table(_HEADS, [*_with_before(by, _sets(sums, measure, feature))])


def _sets(sums: Sums, measure: str, feature: str | None) -> Iterator[object]:
    """The set of each window, in order."""
    mine = sums.sketches.filter(
        (pl.col("measure") == measure) & pl.col("feature").eq_missing(pl.lit(feature))
    )
    for _, each in mine.sort("window_start").group_by("window_start", maintain_order=True):
        yield united(each["sketch"])


def _with_before(by: pl.DataFrame, sets: Iterator[object]) -> Iterator[tuple[object, ...]]:
    before = None
    for row, today in zip(by.iter_rows(), sets, strict=True):
        gone = None if before is None else theta_a_not_b().compute(today, before).get_estimate()
        yield *row, None if gone is None else 1 - gone / row[1]
        before = today


def growth(items: Table, users: Table) -> Table:
    """Contents and users known by window."""
    known = {row[0]: row[4] for row in users.rows}
    rows = [(row[0], row[4], known.get(row[0])) for row in items.rows]
    return Table([Column("From", "day"), Column("Contents"), Column("Users")], rows)


def features(sums: Sums) -> Table:
    """By feature the values known, those of the last window, and the new ones among them."""
    there = sums.sketches.filter(pl.col("measure") == "values")
    rows = []
    for name in there["feature"].unique().sort():
        last = over_time(sums, "values", name).rows[-1]
        rows.append((name, last[4], last[0], last[1], last[2], last[5]))
    rows.sort(key=lambda row: (-row[1], row[0]))
    heads = [Column("Feature", "text"), Column("Values known"), Column("Last window", "day")]
    heads += [Column("Distinct in it"), Column("New in it"), Column("Seen before it", "share")]
    return Table(heads, rows[:MOST_FEATURES])
