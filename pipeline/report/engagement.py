"""What users do: actions, which come together, and what joined by attribution."""

import json

from pipeline.report.sums import Sums
from pipeline.report.tables import Column, Figure, Section, Table, shown
from schemas.spec import Spec

MOST_ACTIONS = 12


def engagement(sums: Sums, spec: Spec) -> Section:
    """The section on actions and attribution."""
    done, late = actions(sums), delays(sums)
    share = sums.total("impressions") / sums.total("new_contents") if done.rows else None
    answer = "No content has an action. " if share is None else (
        f"{shown(done.rows[0][0])} is the most frequent action, on {done.rows[0][2]:.0%} of "
        f"contents; {share:.0%} have none. "
    )  # fmt: skip
    figures = [
        Figure("Actions", "Contents by the actions on them.", done, "bars", ("Contents",)),
        Figure("Actions that come together", "The share of contents with the action of the row "
               "that have the action of the column, too.", together(sums, spec), "heat"),
        Figure("What joined by attribution", "Records that joined an earlier content instead of "
               "making one, by their source and the earlier one's.", joined(sums)),
        Figure("How soon actions follow", "The share of joined records that came within so long "
               "of the first: whether A is long enough.", late, "lines", ("Joined",)),
    ]  # fmt: skip
    return Section("engagement", "What do users do?", answer, figures)


def actions(sums: Sums) -> Table:
    """Contents by action, and the share of all contents."""
    whole = sums.total("new_contents")
    rows = [
        (name, value, value / whole if whole else None)
        for (name,), value in sums.by("actions", "key").items()
    ]
    rows += [("no action", n, n / whole) for n in [sums.total("impressions")] if n and whole]
    return Table([Column("Action", "text"), Column("Contents"), Column("Share", "share")], rows)


def together(sums: Sums, spec: Spec) -> Table:
    """Of the contents with one action, the share with each other: a row and a column an action."""
    alone = {name: value for (name,), value in sums.by("actions", "key").items()}
    both: dict[frozenset[str], float] = {}
    for (key,), value in sums.by("action_pairs", "key").items():
        both[frozenset(json.loads(str(key)))] = value
    names = [name for name in spec.actions if name in alone][:MOST_ACTIONS]
    rows = [
        (one, *(1.0 if one == two else both.get(frozenset((one, two)), 0.0) / alone[one]
                for two in names))
        for one in names
    ]  # fmt: skip
    return Table([Column("Action", "text"), *(Column(name, "share") for name in names)], rows)


def joined(sums: Sums) -> Table:
    """Records that joined, by source and the source of the first."""
    heads = [Column("Source", "text"), Column("Joined to", "text"), Column("Records")]
    by = sums.by("joined", "source", "key")
    return Table(heads, [(*names, value) for names, value in by.items()])


def delays(sums: Sums) -> Table:
    """The share of joined records that came within each time of the first."""
    buckets = sums.buckets("join_delay")
    whole, seen, rows = sum(value for _, value in buckets), 0.0, []
    for end, value in buckets:
        seen += value
        rows.append((end, value, seen / whole))
    return Table([Column("Within", "seconds"), Column("Records"), Column("Joined", "share")], rows)
