"""The page: sections told by a template that escapes all that it is given."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report.charts import drawn
from pipeline.report.engagement import engagement
from pipeline.report.folder import Folder, ReportError, open_folder, reading
from pipeline.report.lateness import lateness
from pipeline.report.overview import Fact, facts, span
from pipeline.report.people import newest, people
from pipeline.report.reading import reading as what_was_read
from pipeline.report.saved import saved
from pipeline.report.sessions import sessions
from pipeline.report.sums import sums_of
from pipeline.report.tables import Figure, Section, shown, written
from pipeline.report.timelines import Person, people_told, some_users
from pipeline.report.training import training
from pipeline.report.vocabulary import vocabulary

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Report:
    """All that a page tells of a folder."""

    name: str
    span: str
    facts: Sequence[Fact]
    sections: Sequence[Section]
    people: Sequence[Person]


def report_of(folder: Folder, users: Sequence[str] = (), events: Path | None = None) -> Report:
    """What there is to tell of a folder, with the timelines of these users, or of a few; and with
    the raw entries of these, where `events` has the files that the run read.

    Raises ReportError where a file can't be read, a user is not there, or the events are others.
    """
    with reading(folder.path):
        sums, longest = sums_of(folder), newest(folder)
        return Report(
            folder.spec.name,
            span(sums),
            facts(sums),
            [
                saved(sums),
                people(longest),
                lateness(sums, folder.spec.horizon),
                sessions(sums, folder.spec),
                what_was_read(folder, sums),
                vocabulary(sums),
                training(sums, folder.spec),
                engagement(sums, folder.spec),
            ],
            people_told(folder, users or some_users(longest), events),
        )


def write_page(
    out: Path, file: Path, users: Sequence[str] = (), events: Path | None = None
) -> None:
    """Writes the page on a folder into a file, whole or not at all; as `report_of` has it.

    Raises ReportError where no page can be made of the folder, or the file can't be written.
    """
    text = page(report_of(open_folder(out), users, events))
    hidden = file.with_name(f".{file.name}.new")
    try:
        hidden.write_text(text, encoding="utf-8")
        os.replace(hidden, file)
    except OSError as error:
        raise ReportError(f"cannot write {file}: {error.strerror}") from error


def page(report: Report, watched: bool = False) -> str:
    """The page as HTML; a watched one asks its server for what is new."""
    return _ENVIRONMENT.get_template("page.html").render(report=report, watched=watched)


def waiting(line: str) -> str:
    """A page that says why there is none yet, and asks again."""
    return _ENVIRONMENT.get_template("waiting.html").render(line=line)


def parts(report: Report) -> dict[str, str]:
    """The HTML of what is in each part of the page, by the part's id."""
    part = _ENVIRONMENT.get_template("part.html")
    inner = {"facts": part.render(facts=report.facts, span=report.span)}
    inner |= {section.anchor: part.render(section=section) for section in report.sections}
    return inner | {"timelines": part.render(people=report.people)}


def _svg(figure: Figure) -> Markup | None:
    """The chart of a figure. Vega escapes the texts in it, and the values are numbers."""
    svg = drawn(figure)
    return None if svg is None else Markup(svg)  # noqa: S704


def asset(name: str) -> Markup:
    """A file of our own beside the templates, to stand in the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {"written": written, "shown": shown}
_ENVIRONMENT.globals |= {"svg": _svg, "asset": asset}
