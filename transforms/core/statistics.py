"""Counts by hour of event time, which add up: over batches, firings, shards and runs.

A count without an event time, of records left out before it was known, has null windows.
"""

from collections.abc import Iterable, Iterator, Mapping

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

Count = tuple[int | None, str, str | None, str | None, str | None, float]
"""Window (start, ms), measure, source, feature, key, value."""


def as_table(counts: Iterable[Count]) -> pa.Table:
    """Counts as rows of STATISTICS."""
    rows = [
        {
            "window_start": window,
            "window_end": None if window is None else window + HOUR,
            "measure": measure,
            "source": source,
            "feature": feature,
            "key": key,
            "value": value,
        }
        for window, measure, source, feature, key, value in counts
    ]
    return pa.Table.from_pylist(rows, schema=STATISTICS)


def of_decoded(decoded: Decoded, plan: Plan) -> Iterator[Count]:
    """What became of a batch of records: accepted, filtered, rejected, values dropped."""
    name = plan.name
    for window, count in _by_hour(ints(decoded.rows["time"])):
        yield window, "records", name, None, None, count
    if decoded.filtered:
        yield None, "filtered", name, None, None, decoded.filtered
    for path, count in decoded.dropped.items():
        yield None, "dropped", name, path, None, count
    for reason, count in decoded.reasons.items():
        yield None, "rejected", name, None, reason, count


def of_late(rows: pa.Table, spec: Spec) -> Iterator[Count]:
    """Late records by source."""
    names = source_names(spec)
    source, time = ints(rows["source"]), ints(rows["time"])
    for number in np.unique(source).tolist():
        for window, count in _by_hour(time[source == number]):
            yield window, "late", names[number], None, None, count


def of_firing(tally: Tally, spec: Spec) -> Iterator[Count]:
    """What a firing made of observations: tokens before and after, sessions and sequences."""
    yield from _of_copies(tally.opened.copies, spec)
    yield from _of_tokens(tally, spec)
    yield from _of_sessions(tally)


def _of_copies(copies: Ints, spec: Spec) -> Iterator[Count]:
    for name, count in zip(source_names(spec), copies.tolist(), strict=True):
        if count:
            yield None, "copies", name, None, None, count


def _of_tokens(tally: Tally, spec: Spec) -> Iterator[Count]:
    """Raw tokens and kept ones, by feature, of the observations that this firing used up."""
    seen, found = tally.opened.seen, tally.engaged
    before = np.arange(len(seen.life)) < found.cut[seen.life]
    records = before & (seen.engages | flags(seen.rows["joined"]))
    used = seen.time <= found.cut_time[seen.life]
    yield from _sums("tokens_raw", CONTENTS, seen.time, 2 * records)
    groups = found.groups.time[found.complete]
    yield from _sums("tokens_kept", CONTENTS, groups, np.full(len(groups), 2))
    for kind, name in enumerate(spec.features, FIRST_FEATURE):
        raw = observed_values(seen.rows, spec, name) * used
        yield from _sums("tokens_raw", name, seen.time, raw)
        kept = tally.kept.time[tally.kept.kind == kind]
        yield from _sums("tokens_kept", name, kept, np.ones(len(kept)))


def _of_sessions(tally: Tally) -> Iterator[Count]:
    done, drawn = tally.completed, tally.drawn
    tokens, raw = tally.held.tokens.astype(float), drawn.raw_tokens.astype(float)
    for measure, time, values in (
        ("sessions", done.end, np.ones(len(done.end))),
        ("new_contents", done.end, done.new_contents),
        ("sequences", drawn.end, np.ones(len(drawn.end))),
        ("sequence_tokens", drawn.end, tokens),
        ("sequence_raw_tokens", drawn.end, raw),
        ("sequence_cost", drawn.end, tokens**2),
        ("sequence_raw_cost", drawn.end, raw**2),
    ):
        yield from _sums(measure, None, time, values)


def _sums(
    measure: str, feature: str | None, time: Ints, values: npt.NDArray[np.generic]
) -> Iterator[Count]:
    for window, value in _by_hour(time, values):
        yield window, measure, None, feature, None, value


def _by_hour(
    time: Ints, values: npt.NDArray[np.generic] | None = None
) -> Iterator[tuple[int, float]]:
    windows, which = np.unique(time // HOUR, return_inverse=True)
    sums = np.bincount(which, None if values is None else values.astype(float), len(windows))
    for window, value in zip(windows.tolist(), sums.tolist(), strict=True):
        if value:
            yield window * HOUR, float(value)


def totals(statistics: pa.Table) -> Mapping[tuple[str, str | None, str | None, str | None], float]:
    """The sums over all windows, by measure, source, feature and key."""
    keys = ["measure", "source", "feature", "key"]
    sums = statistics.group_by(keys).aggregate([("value", "sum")])
    return {tuple(row[k] for k in keys): row["value_sum"] for row in sums.to_pylist()}
