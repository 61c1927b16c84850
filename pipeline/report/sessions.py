"""Sessions and histories, and what they would be with another gap G or another N."""

from pipeline.report.lateness import bounds_of
from pipeline.report.sums import Buckets, Sums, above, up_to
from pipeline.report.tables import Column, Figure, Section, Table
from schemas.durations import written
from schemas.spec import Spec


def sessions(sums: Sums, spec: Spec) -> Section:
    """The section on sessions and histories."""
    count, contents = sums.total("sessions"), sums.total("new_contents")
    gap = spec.session.gap
    answer = f"{count:,.0f} sessions of {contents / count if count else 0:,.1f} contents each, "
    answer += f"with a gap of {written(gap)}. Histories hold up to {spec.history.contents:,}."
    figures = [
        Figure("Sessions with another gap", "How many sessions there would be, had the gap G been "
               "another.", with_gap(sums, gap / 1000), "lines", ("Sessions",)),
        Figure("Histories with another N", "How many contents all sequences together would hold "
               "with at most N of each, as a share of all without a limit.",
               with_contents(sums), "lines", ("Held",)),
        Figure("Contents of a session", "Sessions by how many contents they have, at most.",
               spread(sums, "session_contents", "Contents"), "columns", ("Sessions",)),
        Figure("How long a session lasts", "Sessions by the time from first to last content, at "
               "most.", spread(sums, "session_duration", "Lasts", "seconds"), "columns",
               ("Sessions",)),
        Figure("Sessions over time", "Sessions completed, and those that are their user's first.",
               over_time(sums), "lines"),
        Figure("Histories that were cut", "Sequences that N or M made shorter than the history, "
               "and what was folded into heads.", cut(sums)),
    ]  # fmt: skip
    return Section("sessions", "How do G and N change counts and lengths?", answer, figures)


def with_gap(sums: Sums, gap: float) -> Table:
    """For each gap g, s, the sessions there would be, and their mean contents; `gap` is G."""
    pauses, between = sums.buckets("content_gap"), sums.buckets("session_gap")
    now, contents = sums.total("sessions"), sums.total("new_contents")
    rows = []
    for g in bounds_of(sorted([*pauses, *between])):
        joined = sum(value for end, value in between if gap < end <= g)
        count = now + above(pauses, g) - joined
        rows.append((g, count, contents / count if count else None))
    heads = [Column("Gap", "seconds"), Column("Sessions"), Column("Contents each", "number")]
    return Table(heads, rows)


def with_contents(sums: Sums) -> Table:
    """For each N, the contents that all sequences would hold, and their share of all."""
    many, held = sums.buckets("history_contents"), sums.buckets("history_contents_sum")
    whole = sum(value for _, value in held)
    rows = [(n, capped(held, many, n), capped(held, many, n) / whole) for n, _ in held]
    return Table([Column("N"), Column("Contents"), Column("Held", "share")], rows)


def capped(sums: Buckets, numbers: Buckets, most: float) -> float:
    """The sum of sizes, had each that is above `most`, a bucket's end, been `most`."""
    return up_to(sums, most) + most * above(numbers, most)


def spread(sums: Sums, measure: str, head: str, kind: str = "count") -> Table:
    """A distribution by the ends of its buckets, with the share at or below each."""
    buckets = sums.buckets(measure)
    whole, seen, rows = sum(value for _, value in buckets), 0.0, []
    for end, value in buckets:
        seen += value
        rows.append((end, value, seen / whole))
    first = Column(head, "seconds") if kind == "seconds" else Column(head)
    return Table([first, Column("Sessions"), Column("Up to here", "share")], rows)


def over_time(sums: Sums) -> Table:
    """Sessions and first sessions by window."""
    first = dict(sums.by_window("first_sessions").iter_rows())
    rows = [(when, n, first.get(when, 0)) for when, n in sums.by_window("sessions").iter_rows()]
    return Table([Column("From", "day"), Column("Sessions"), Column("First of a user")], rows)


def cut(sums: Sums) -> Table:
    """What N and M did to the sequences."""
    named = {
        "Sequences": "sequences",
        "of them cut": "sequences_cut",
        "contents that these lack": "contents_cut",
        "with a head": "sequences_folded",
        "tokens of heads": "head_tokens",
    }
    rows = [(name, sums.total(measure)) for name, measure in named.items()]
    return Table([Column("What", "text"), Column("Number")], rows)
