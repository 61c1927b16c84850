"""Counts by hour of event time, which add up: over batches, firings, shards and runs.

A count without an event time, of records left out before it was known, has null windows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.observations import source_names
from schemas.outputs import STATISTICS
from schemas.sequences import FIRST_FEATURE
from schemas.spec import Spec
from transforms.core.arrays import Ints, flags, ints
from transforms.core.cut import Tally
from transforms.core.decode.decoded import Decoded
from transforms.core.decode.plan import Plan
from transforms.core.features import observed_values

HOUR = 3_600_000
CONTENTS = "contents"
"""What stands as the feature of the counts of Φ and a tokens."""

_NO_WINDOW = -1

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """The values of one measure in some windows [w], given by their starts, ms."""

    measure: str
    window: Ints
    value: Floats
    source: str | None = None
    feature: str | None = None
    key: str | None = None


def as_table(counts: Iterable[Counts]) -> pa.Table:
    """Counts as rows of STATISTICS."""
    parts = [part for part in counts if len(part.value)]
    if not parts:
        return STATISTICS.empty_table()
    start = np.concatenate([part.window for part in parts])
    sizes = [len(part.window) for part in parts]
    columns = {
        "window_start": pa.array(start, mask=start == _NO_WINDOW),
        "window_end": pa.array(start + HOUR, mask=start == _NO_WINDOW),
        "value": pa.array(np.concatenate([part.value for part in parts])),
    }
    for name in ("measure", "source", "feature", "key"):
        texts = pa.array([getattr(part, name) for part in parts], pa.string())
        columns[name] = texts.take(pa.array(np.repeat(np.arange(len(parts)), sizes)))
    nothing = pa.nulls(len(start))
    arrays = [columns.get(field.name, nothing).cast(field.type) for field in STATISTICS]
    return pa.table(arrays, schema=STATISTICS)


def of_decoded(decoded: Decoded, plan: Plan) -> Iterator[Counts]:
    """What became of a batch of records: accepted, filtered, rejected, values dropped."""
    name = plan.name
    yield _by_hour("records", ints(decoded.rows["time"]), source=name)
    if decoded.filtered:
        yield _alone("filtered", decoded.filtered, source=name)
    for path, count in decoded.dropped.items():
        yield _alone("dropped", count, source=name, feature=path)
    for reason, count in decoded.reasons.items():
        yield _alone("rejected", count, source=name, key=reason)


def of_late(rows: pa.Table, spec: Spec) -> Iterator[Counts]:
    """Late records by source."""
    names = source_names(spec)
    source, time = ints(rows["source"]), ints(rows["time"])
    for number in np.unique(source).tolist():
        yield _by_hour("late", time[source == number], source=names[number])


def of_firing(tally: Tally, spec: Spec) -> Iterator[Counts]:
    """What a firing made of observations: tokens before and after, sessions and sequences."""
    for name, count in zip(source_names(spec), tally.opened.copies.tolist(), strict=True):
        if count:
            yield _alone("copies", count, source=name)
    yield from _of_tokens(tally, spec)
    yield from _of_sessions(tally)


def _of_tokens(tally: Tally, spec: Spec) -> Iterator[Counts]:
    """Raw tokens and kept ones, by feature, of the observations that this firing used up."""
    seen, found = tally.opened.seen, tally.engaged
    records = found.records_used(seen) & (seen.engages | flags(seen.rows["joined"]))
    used = found.features_used(seen)
    groups = found.groups.time[found.complete]
    yield _by_hour("tokens_raw", seen.time, 2 * records, feature=CONTENTS)
    yield _by_hour("tokens_kept", groups, np.full(len(groups), 2), feature=CONTENTS)
    for kind, name in enumerate(spec.features, FIRST_FEATURE):
        raw = observed_values(seen.rows, spec, name) * used
        kept = tally.kept.time[tally.kept.kind == kind]
        yield _by_hour("tokens_raw", seen.time, raw, feature=name)
        yield _by_hour("tokens_kept", kept, feature=name)


def _of_sessions(tally: Tally) -> Iterator[Counts]:
    done, drawn = tally.completed, tally.drawn
    tokens, raw = tally.held.tokens.astype(float), drawn.raw_tokens.astype(float)
    yield _by_hour("sessions", done.end)
    yield _by_hour("new_contents", done.end, done.new_contents)
    yield _by_hour("sequences", drawn.end)
    yield _by_hour("sequence_tokens", drawn.end, tokens)
    yield _by_hour("sequence_raw_tokens", drawn.end, raw)
    yield _by_hour("sequence_cost", drawn.end, tokens**2)
    yield _by_hour("sequence_raw_cost", drawn.end, raw**2)


def _alone(measure: str, count: float, **names: str) -> Counts:
    """A count that has no event time."""
    return Counts(measure, np.array([_NO_WINDOW]), np.array([float(count)]), **names)


def _by_hour(
    measure: str, time: Ints, values: npt.NDArray[np.generic] | None = None, **names: str
) -> Counts:
    """The values, or the number, of what happened at these times, added up by hour."""
    hour = time // HOUR
    first = int(hour.min()) if len(hour) else 0
    sums = np.bincount(hour - first, None if values is None else values.astype(float))
    there = np.flatnonzero(sums)
    return Counts(measure, (there + first) * HOUR, sums[there].astype(float), **names)


def totals(statistics: pa.Table) -> Mapping[tuple[str, str | None, str | None, str | None], float]:
    """The sums over all windows, by measure, source, feature and key."""
    keys = ["measure", "source", "feature", "key"]
    sums = statistics.group_by(keys).aggregate([("value", "sum")])
    return {tuple(row[k] for k in keys): row["value_sum"] for row in sums.to_pylist()}
