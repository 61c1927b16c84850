"""Every figure of the page, and every fact, from raw records in plain loops."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.report.page import Report
from pipeline.report.tables import Table
from tests.oracles.figures import FIGURES, examples, facts
from tests.oracles.happened import Happened, happened
from tests.pipeline.report.test_numbers import report, table
from tests.strategies import Case, cases, long_cases

OF_USERS = {"Users by length", "The longest users"}
OF_KAFKA = {"Loss against horizon", "Examples of what was late"}
EXAMPLES = "Examples of what was rejected"


def differences(told: Report, now: Happened) -> list[str]:
    """The figures whose rows are not those of the plain loops."""
    return [
        f"{title}: {_plain(found)} is not {want(now)}"
        for title, want in FIGURES.items()
        if not same(_plain(found := table(told, title)), want(now))
    ]


def _plain(of: Table) -> list[list[Any]]:
    """The rows with times in ms."""
    return [
        [round(cell.timestamp() * 1000) if isinstance(cell, datetime) else cell for cell in row]
        for row in of.rows
    ]


def same(rows: Sequence[Sequence[Any]], want: Sequence[Sequence[Any]]) -> bool:
    """Whether these are the same rows in any order, their numbers but for rounding."""
    pairs = zip(sorted(rows, key=_first), sorted(want, key=_first), strict=False)
    return len(rows) == len(want) and all(
        len(row) == len(other) and all(map(_same, row, other)) for row, other in pairs
    )


def _first(row: Sequence[Any]) -> tuple[Any, ...]:
    """What tells rows apart: a name or two, a number, or a window."""
    return tuple(cell for cell in row[:2] if isinstance(cell, str)) or (row[0],)


def _same(cell: Any, other: Any) -> bool:
    if cell is None or other is None or isinstance(cell, str):
        return bool(cell == other)
    return bool(cell == pytest.approx(other))


SOME = settings(max_examples=60, suppress_health_check=[*HealthCheck])


def check(case: Case) -> None:
    now = happened(*case)
    if not (now.accepted or now.rejected or now.filtered):
        return
    told = report(case)
    titles = {figure.title for section in told.sections for figure in section.figures}
    assert titles == {*FIGURES, *OF_USERS, *OF_KAFKA, EXAMPLES}
    assert differences(told, now) == []
    assert {fact.name: fact.value for fact in told.facts} == pytest.approx(facts(now))
    assert Counter((row[0], row[1]) for row in table(told, EXAMPLES).rows) == examples(now)


@SOME
@given(cases(max_records=40))
def test_every_figure_is_what_plain_loops_tell(case: Case) -> None:
    check(case)


@SOME
@given(long_cases())
def test_every_figure_of_days_weeks_and_years_is_what_plain_loops_tell(case: Case) -> None:
    check(case)
