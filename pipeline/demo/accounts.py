"""One table of what went in, what compression did, and what was left out and why."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
from rich import box
from rich.table import Table

from pipeline.demo.steps import Demo
from schemas.spec import Spec
from transforms.core.statistics import CONTENTS, totals

MANY = 100_000_000
"""From here on a number is shown in millions."""

Totals = Mapping[tuple[str, str | None, str | None, str | None], float]


@dataclass(frozen=True)
class Line:
    """What was before, what after (None: not asked), and a word on it."""

    what: str
    before: int
    after: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Lines under a title; `before` and `after` name the two numbers; `rate` says how they
    compare: "share" after of before, "times" before to after."""

    title: str
    before: str
    after: str
    lines: list[Line]
    rate: Literal["share", "times"] = "times"


def accounts(spec: Spec, truth: Mapping[str, Any], statistics: pa.Table) -> list[Section]:
    """What a run did with what was sent; `truth` is the simulator's, `statistics` the run's."""
    sums = totals(statistics)
    return [
        Section("Records", "sent", "accepted", list(_records(spec, truth, sums)), "share"),
        Section("Tokens", "raw", "kept", list(_tokens(spec, sums))),
        Section("Left out, and why", "count", "", list(_left_out(sums))),
        Section("Sequences", "raw", "made", list(_sequences(sums))),
    ]


def print_accounts(demo: Demo) -> None:
    """Prints the table."""
    sections = accounts(demo.spec, demo.truth, demo.table("statistics").collect().to_arrow())
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    for _ in ("before", "after", "rate"):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    for section in sections:
        table.add_row(section.title, section.before, section.after, style="bold")
        for line in section.lines:
            numbers = (_number(line.before), _number(line.after), _rate(section, line))
            table.add_row(f"  {line.what}", *numbers, line.note)
        table.add_section()
    demo.console.print(table, highlight=False)


def _number(count: int | None) -> str:
    if count is None:
        return ""
    return f"{count:,}" if count < MANY else f"{count / 1_000_000:,.0f} M"


def _rate(section: Section, line: Line) -> str:
    if not line.after or not line.before:
        return ""
    if section.rate == "share":
        return f"{line.after / line.before:.1%}"
    return f"{line.before / line.after:.1f} ×"


def _records(spec: Spec, truth: Mapping[str, Any], sums: Totals) -> Iterator[Line]:
    left = defaultdict[str, dict[str, int]](lambda: defaultdict(int))
    for (measure, where, _, _), value in sums.items():
        if measure in ("filtered", "rejected", "late"):
            left[str(where)][measure] += int(value)
    for name, source in spec.sources.items():
        note = [f"{count:,} {measure}" for measure, count in sorted(left[name].items())]
        if source.erase and truth["tombstones"]:
            note.append(f"{truth['tombstones']:,} by tombstone")
        accepted = int(sums.get(("records", name, None, None), 0))
        yield Line(name, truth["records"].get(name, 0), accepted, ", ".join(note))


def _tokens(spec: Spec, sums: Totals) -> Iterator[Line]:
    joined = "what joins by attribution is one Φ, a"
    notes = {CONTENTS: joined if spec.attribution else "Φ and a of each engagement"}
    for name, feature in spec.features.items():
        is_scalar = feature.kind == "scalar"
        notes[name] = "first of each run" if is_scalar else "changes of the set only"
    lines = [
        Line(
            name,
            int(sums.get(("tokens_raw", None, name, None), 0)),
            int(sums.get(("tokens_kept", None, name, None), 0)),
            note,
        )
        for name, note in notes.items()
    ]
    yield from lines
    yield Line("all", sum(n.before for n in lines), sum(n.after or 0 for n in lines))


def _left_out(sums: Totals) -> Iterator[Line]:
    """Counts by what happened, the most frequent reasons first, with their sources or fields."""
    for measure, said in _SAID.items():
        parts = defaultdict[str, Counter[str]](Counter)
        for (name, source, feature, key), value in sums.items():
            if name == measure:
                parts[f"{said}: {key}" if key else said][str(feature or source)] += int(value)
        for what, counts in sorted(parts.items(), key=lambda part: (-part[1].total(), part[0])):
            note = ", ".join(f"{where} {count:,}" for where, count in counts.most_common())
            yield Line(what, counts.total(), None, note)


_SAID = {
    "filtered": "filtered by the spec",
    "rejected": "rejected",
    "late": "late, behind the watermark",
    "copies": "copies of a record",
    "dropped": "values of dropped fields",
}
"""What is said of each measure of what did not go through."""


def _sequences(sums: Totals) -> Iterator[Line]:
    def of(measure: str) -> int:
        return int(sums.get((measure, None, None, None), 0))

    yield Line("sessions, sequences", of("sessions"), of("sequences"))
    tokens, raw = of("sequence_tokens"), of("sequence_raw_tokens")
    yield Line("tokens, histories included", raw, tokens)
    yield Line("tokens², as attention costs", of("sequence_raw_cost"), of("sequence_cost"))
