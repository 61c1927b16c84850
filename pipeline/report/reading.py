"""What was read: records by what became of them, what was rejected and why, with examples."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import polars as pl

from pipeline.report.folder import Folder
from pipeline.report.sums import Sums
from pipeline.report.tables import Column, Figure, Section, Table, shown

EXAMPLES, LONGEST = 3, 300
"""Records that are shown of a source and reason, and letters of each."""
MOST_REASONS = 40

_FATES = ("filtered", "rejected", "late", "copies")


def reading(folder: Folder, sums: Sums) -> Section:
    """The section on what was read."""
    read, rejected = records(sums), by_reason(sums)
    lost = sum(rejected.column("Records"))
    worst = rejected.rows[0] if rejected.rows else None
    answer = "Nothing was rejected." if worst is None else (
        f"{lost:,.0f} records were rejected, most of them from {shown(worst[0])} as {worst[1]}."
    )  # fmt: skip
    figures = [
        Figure("What became of the records", "Records of each source by their fate.", read, "bars",
               ("Accepted", "Rejected", "Late")),
        Figure("Why records were rejected", answer, rejected),
        Figure("Rejected over time", "Records rejected, by reason and window of event time; "
               "those whose time is unknown are not here.", over_time(sums), "columns"),
        Figure("Examples of what was rejected", f"Up to {EXAMPLES} of each source and reason, as "
               "they came.", examples(folder, "rejected")),
        Figure("Examples of what was late", f"Up to {EXAMPLES} of each source.",
               examples(folder, "late")),
        Figure("Numbers left out by name", "Values of the fields that the spec lists as dropped.",
               dropped(sums)),
    ]  # fmt: skip
    return Section("reading", "What was read, and what was rejected?", answer, figures)


def records(sums: Sums) -> Table:
    """By source: records accepted and what else became of those read, and bytes read."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for measure in ("records", *_FATES, "bytes"):
        for (source,), value in sums.by(measure, "source").items():
            counts[str(source)][measure] = int(value)
    heads = ["Accepted", "Left out by where", "Rejected", "Late", "Copies", "Bytes"]
    ordered = sorted(counts.items(), key=lambda one: (-one[1]["records"], one[0]))
    return Table(
        [Column("Source", "text"), *map(Column, heads)],
        [(name, *(each[m] for m in ("records", *_FATES, "bytes"))) for name, each in ordered],
    )


def by_reason(sums: Sums) -> Table:
    """Records rejected by source and reason, and their share of those of the source that were
    accepted or rejected."""
    accepted = sums.by("records", "source")
    gone = sums.by("rejected", "source", "key")
    whole = Counter({source: value for (source,), value in accepted.items()})
    for (source, _), value in gone.items():
        whole[source] += int(value)
    rows = [
        (source, reason, value, value / whole[source]) for (source, reason), value in gone.items()
    ]
    heads = [Column("Source", "text"), Column("Reason", "text"), Column("Records")]
    return Table([*heads, Column("Of the source", "share")], rows[:MOST_REASONS])


def over_time(sums: Sums) -> Table:
    """Records rejected by window and reason, for the most frequent reasons."""
    reasons = [str(reason) for (reason,) in sums.by("rejected", "key")][:6]
    by = sums.by_window("rejected", "key").filter(pl.col("key").is_in(reasons))
    cells = {(window, key): value for window, key, value in by.iter_rows()}
    windows = sorted({window for window, _ in cells})
    return Table(
        [Column("From", "day"), *map(Column, reasons)],
        [(when, *(cells.get((when, reason), 0) for reason in reasons)) for when in windows],
    )


def examples(folder: Folder, name: str) -> Table:
    """Some records of `rejected/` or `late/`: from where, why, and their first letters."""
    first = folder.scan(name).group_by("source", "reason").head(EXAMPLES)
    rows = first.sort("source", "reason", "file", "line", "partition", "offset").collect()
    heads = ["Source", "Reason", "Where", "Detail"]
    return Table(
        [*(Column(head, "text") for head in heads), Column("Record", "raw")],
        [*_examples(rows)],
    )


def _examples(rows: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    for row in rows.head(MOST_REASONS * EXAMPLES).iter_rows(named=True):
        at = f"partition {row['partition']}, offset {row['offset']}"
        where = at if row["file"] is None else f"{row['file']}, line {row['line']}"
        yield row["source"], row["reason"], where, row["detail"] or "", _raw(row["raw"])


def _raw(raw: bytes | None) -> str:
    """The record as text, cut with a word on how long it is."""
    if raw is None:
        return "–"
    text = shown(raw[: 4 * LONGEST].decode(errors="replace"), LONGEST)
    return text if len(raw) <= LONGEST else f"{text} ({len(raw):,} bytes)"


def dropped(sums: Sums) -> Table:
    """Values left out by source and field."""
    heads = [Column("Source", "text"), Column("Field", "text"), Column("Values")]
    return Table(
        heads,
        [(*names, value) for names, value in sums.by("dropped", "source", "feature").items()],
    )
