"""What compression saved: by feature, over time, and how long values held."""

from collections import defaultdict
from datetime import datetime

from pipeline.report.sums import Sums, quantile
from pipeline.report.tables import Column, Figure, Section, Table, shown

MOST_FEATURES = 25
"""Features that are drawn and listed, those with the most raw tokens."""


def saved(sums: Sums) -> Section:
    """The section on what was saved."""
    features, windows = by_feature(sums), over_time(sums)
    raw, kept = sums.total("tokens_raw"), sums.total("tokens_kept")
    most = max(features.rows, key=lambda row: row[3], default=None)
    answer = f"Of {raw:,.0f} raw tokens {kept:,.0f} were kept"
    answer += f", one in {raw / kept:,.1f}. " if kept else ". "
    if most is not None and most[3]:
        answer += f"{shown(most[0])} saved the most: {most[4]:.0%} of all that was saved."
    figures = [
        Figure("Tokens raw and kept, by feature", "Tokens before compression and after; "
               "contents are Φ and a.", features, "bars", ("Raw", "Kept")),
        Figure("Tokens over time", "Tokens of each window before compression and after it.",
               windows, "lines", ("Raw", "Kept")),
        Figure("How long a value holds", "Half of the values of a feature ceased to hold at or "
               "before the median, nine in ten at or before the second number; by the ends of "
               "buckets. A value that holds for one content saves nothing.", held_for(sums)),
    ]  # fmt: skip
    return Section("saved", "How much was saved, and by which feature?", answer, figures)


def by_feature(sums: Sums) -> Table:
    """Tokens raw and kept by feature, what is saved, and its share of all that is."""
    kept, all_saved = sums.by("tokens_kept", "feature"), 0.0
    rows = []
    for (name,), raw in sums.by("tokens_raw", "feature").items():
        left = kept.get((name,), 0.0)
        all_saved += raw - left
        rows.append((name, raw, left))
    heads = [Column("Feature", "text"), Column("Raw"), Column("Kept"), Column("Saved")]
    return Table(
        [*heads, Column("Of all saved", "share"), Column("Raw to kept", "times")],
        [
            (
                *row,
                row[1] - row[2],
                (row[1] - row[2]) / all_saved if all_saved else None,
                row[1] / row[2] if row[2] else None,
            )
            for row in rows[:MOST_FEATURES]
        ],
    )


def over_time(sums: Sums) -> Table:
    """Tokens raw and kept by window, and how many raw ones there are to one kept."""
    windows: dict[datetime, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for measure in ("tokens_raw", "tokens_kept"):
        for when, value in sums.by_window(measure).iter_rows():
            windows[when][measure] = value
    heads = [Column("From", "day"), Column("Raw"), Column("Kept"), Column("Raw to kept", "times")]
    rows = []
    for when, each in sorted(windows.items()):
        raw, kept = each["tokens_raw"], each["tokens_kept"]
        rows.append((when, raw, kept, raw / kept if kept else None))
    return Table(heads, rows)


def held_for(sums: Sums) -> Table:
    """By feature the median and the ninth decile of the contents and of the time for which values
    held; buckets' ends."""
    rows = []
    for (name,), count in sums.by("run_contents", "feature").items():
        contents = sums.buckets("run_contents", feature=str(name))
        times = sums.buckets("run_duration", feature=str(name))
        each = [quantile(of, share) for of in (contents, times) for share in (0.5, 0.9)]
        rows.append((name, count, *each))
    heads = [Column("Feature", "text"), Column("Values that ended"), Column("Contents, median")]
    heads += [
        Column("Contents, 90 %"),
        Column("Time, median", "seconds"),
        Column("Time, 90 %", "seconds"),
    ]
    return Table(heads, rows[:MOST_FEATURES])
