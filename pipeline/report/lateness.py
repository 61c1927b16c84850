"""What arrives late: how many records a horizon loses."""

from pipeline.report.sums import Sums, above
from pipeline.report.tables import Column, Figure, Section, Table
from pipeline.report.tables import written as shown
from schemas.durations import written
from transforms.core.buckets import TIMES

MOST_SOURCES = 5


def lateness(sums: Sums, horizon_ms: int) -> Section:
    """The section on what is late; `horizon_ms` is the L of the run."""
    table = lost(sums)
    if not table.rows:
        answer = "No record came from Kafka, and of files nothing is late."
    else:
        count = sums.total("late")
        answer = (
            f"With the horizon of {written(horizon_ms)}, {count:,.0f} records were late, "
            f"{count / sums.total('horizon_needed'):.3%} of all. "
        )
        enough = [row[0] for row in table.rows if row[-1] <= 0.001]
        if enough:
            needed = shown(enough[0], "seconds")
            answer += f"A horizon of {needed} loses one in a thousand at most."
    figures = [
        Figure("Loss against horizon", "The share of records that would be late with each "
               "horizon L. What is longer waits longer; what is shorter loses more.",
               table, "lines")
    ]  # fmt: skip
    return Section("late", "What arrives late, and how late?", answer, figures)


def lost(sums: Sums) -> Table:
    """The share of records that each horizon, s, would lose: of the largest sources, and of all."""
    sources = [str(name) for (name,) in sums.by("horizon_needed", "source")][:MOST_SOURCES]
    buckets = [sums.buckets("horizon_needed", source=name) for name in sources]
    buckets.append(sums.buckets("horizon_needed"))
    wholes = [sum(value for _, value in each) for each in buckets]
    rows = [
        (bound, *(above(each, bound) / whole for each, whole in zip(buckets, wholes, strict=True)))
        for bound in bounds_of(buckets[-1])
    ]
    heads = [Column("Horizon", "seconds"), *(Column(name, "share") for name in sources)]
    return Table([*heads, Column("All", "share")], rows)


def bounds_of(buckets: list[tuple[float, float]]) -> list[float]:
    """The ends of times' buckets from 1 s, up to the first that nothing is above."""
    if not buckets:
        return []
    ends = [end for end in map(float, TIMES.keys.to_pylist()) if 1 <= end < float("inf")]
    most = buckets[-1][0]
    return [end for end in ends if end < most] + [end for end in ends if end >= most][:1]
