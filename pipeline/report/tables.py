"""What a section holds: tables whose columns say how their numbers are written, and charts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Kind = Literal["text", "count", "share", "times", "number", "seconds", "day", "moment", "raw"]
"""How the cells of a column are written: `times` as 3.2 ×, `seconds` as a duration."""

Shape = Literal["bars", "lines", "columns", "heat"]
"""Bars side by side for each row; lines over the rows; columns on top of each other; a grid."""

LONGEST = 60
"""Letters of a text that are shown."""


@dataclass(frozen=True)
class Column:
    """The head of a column, and how its cells are written."""

    name: str
    kind: Kind = "count"


@dataclass(frozen=True)
class Table:
    """Rows of cells, as they are, under columns; None is a cell without a value."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]

    def column(self, name: str) -> list[Any]:
        """The cells under a head."""
        at = [column.name for column in self.columns].index(name)
        return [row[at] for row in self.rows]


@dataclass(frozen=True)
class Figure:
    """A table under a title, and what it says in a sentence. With a shape it is drawn, too:
    `drawn` names the columns of it, and the first column is the axis (default: all)."""

    title: str
    says: str
    table: Table
    shape: Shape | None = None
    drawn: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A question, its answer in a sentence or two, and figures."""

    anchor: str
    title: str
    answer: str
    figures: Sequence[Figure]


def written(value: Any, kind: Kind) -> str:
    """A cell as the page shows it."""
    if value is None:
        return "–"
    text: str = _WRITTEN[kind](value)
    return text


def shown(text: str, most: int = LONGEST) -> str:
    """A text of the data for a person: in one line, of no letter that shows nothing or turns
    others around, and not too long."""
    head = "".join(letter if letter.isprintable() else "�" for letter in text[: most + 1])
    return head if len(head) <= most else f"{head[: most - 1]}…"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _share(value: float) -> str:
    """In percent, with two digits that count where it is small."""
    return f"{value:.1%}" if value >= 0.01 or not value else f"{value * 100:.2g}%"


def _seconds(value: float) -> str:
    """A number of seconds in the largest unit that gives a whole number."""
    if value == float("inf"):
        return "longer"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if value >= size and value % size == 0:
            return f"{value / size:,.0f} {unit}"
    return f"{value:g} s"


def _moment(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}"


_WRITTEN: dict[Kind, Any] = {
    "text": lambda value: shown(str(value)),
    "raw": str,
    "count": _count,
    "share": _share,
    "times": lambda value: f"{value:,.2f} ×",
    "number": _number,
    "seconds": _seconds,
    "day": lambda value: f"{value:%Y-%m-%d}",
    "moment": _moment,
}
