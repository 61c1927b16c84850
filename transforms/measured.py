"""What a shard tells of itself after each firing."""

import time
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from schemas.observations import source_names
from schemas.spec import Spec
from transforms.coders import whole
from transforms.core.counted_firing import of_firing
from transforms.core.cut import Tally
from transforms.core.shard import Fired, Shard
from transforms.core.statistics import Mark, as_table
from transforms.measures import count, observe, observe_all


def now() -> int:
    """The time, in µs, that rows of statistics are written at."""
    return time.time_ns() // 1000


def beside(
    tally: Tally, tombstones: pa.Table, spec: Spec, mark: Mark | None = None
) -> Iterator[beam.pvalue.TaggedOutput]:
    """What a firing gives beside its sequences: statistics, in a stream with the shard's mark, and
    tombstones."""
    counts = as_table(of_firing(tally, spec), [] if mark is None else [mark], now())
    for tag, table in (("statistics", counts), ("tombstones", tombstones)):
        if table.num_rows:
            yield beam.pvalue.TaggedOutput(tag, whole(table))


def tell_firing(spec: Spec, tally: Tally, us: int) -> None:
    """Tells what a firing made, and the µs that it took."""
    for source, copies in zip(source_names(spec), tally.opened.copies.tolist(), strict=True):
        count("copies", copies, source)
    count("sessions", len(tally.completed.end))
    count("sequences", len(tally.drawn.end))
    count("tokens", int(tally.held.tokens.sum()))
    count("raw_tokens", int(tally.drawn.raw_tokens.sum()))
    observe("stage_us", us, "fire")


def tell_state(shard: Shard, fired: Fired) -> None:
    """Tells what a shard of a stream holds after a firing, and how long after their completion
    the firing gave its sessions."""
    held, waiting = shard.held, fired.waiting
    archive = held.sizes.recent + sum(held.sizes.cells)
    observe("waiting_rows", waiting.num_rows)
    observe("state_bytes", held.ledger.nbytes + waiting.nbytes + archive)
    sessions = fired.tally.engaged.sessions
    complete_at = sessions.until[sessions.complete] + shard.spec.horizon
    observe_all("latency_ms", int(time.time() * 1000) - complete_at)
