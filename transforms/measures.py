"""What a run measures: every metric with its kind, unit and labels, and how a stage records it.

All are Beam counters and gauges of the namespace `phia`. A Beam distribution would say less: the
reporter that Flink has for Prometheus gives it as 0. So what has many values, such as the sizes of
batches, is a counter of their sum and one of how many they are, and latency has counters of how
many were at or under a bound, too. Labels stand in a name, behind colons, which no reporter alters.

Stages record once a batch, in the thread that Beam calls them in: Beam loses what another records.
"""

import time
from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics

from schemas.observations import source_names
from schemas.spec import Spec
from transforms.core.arrays import Ints, ints
from transforms.core.decode.reject import LATE

NAMESPACE = "phia"

INF = "Inf"
"""The bound of a histogram's last bucket."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Measure:
    """A metric: what it is, what it means, the names of its labels, and a histogram's bounds.

    A `summary` is a sum and a count. Of the labels only the first may hold a colon.
    """

    kind: Literal["counter", "gauge", "summary", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[int, ...] = ()

    @property
    def series(self) -> dict[str, tuple[str, ...]]:
        """The ends of the names that this is recorded under, each with its labels."""
        if self.kind in ("counter", "gauge"):
            return {"": self.labels}
        buckets = {"_bucket": (*self.labels, "le")} if self.bounds else {}
        return {"_sum": self.labels, "_count": self.labels} | buckets


MEASURES = {
    "records": Measure("counter", "Records accepted, by source.", ("source",)),
    "filtered": Measure("counter", "Records that a source's filter left out.", ("source",)),
    "rejected": Measure("counter", "Records rejected.", ("source", "reason")),
    "late": Measure(
        "counter", "Records that came after their time was released.", ("source", "reason")
    ),
    "lost": Measure("counter", "Offsets that Kafka deleted before they were read.", ("source",)),
    "copies": Measure("counter", "Records that were copies of another.", ("source",)),
    "sessions": Measure("counter", "Sessions completed."),
    "sequences": Measure("counter", "Sequences emitted."),
    "tokens": Measure("counter", "Tokens of the emitted sequences."),
    "raw_tokens": Measure(
        "counter", "Tokens that the emitted sequences would have had uncompressed."
    ),
    "watermark_ms": Measure("gauge", "A reader's watermark, ms since 1970.", ("reader",)),
    "watermark_lag_ms": Measure(
        "gauge", "How far a reader's watermark is behind the clock, ms.", ("reader",)
    ),
    "consumer_lag": Measure(
        "gauge", "Records of a topic that a reader has not read yet.", ("source", "reader")
    ),
    "partitions_behind": Measure(
        "gauge", "Partitions that a reader has not read to their ends.", ("reader",)
    ),
    "latency_ms": Measure(
        "histogram",
        "From a session's completion in event time to its sequence leaving the firing, ms.",
        bounds=(250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000),
    ),
    "stage_us": Measure("summary", "Time that a stage takes for a batch, µs.", ("stage",)),
    "batch_records": Measure("summary", "Kafka records that a reader gathers at once."),
    "batch_bytes": Measure("summary", "Their bytes."),
    "shard_rows": Measure("summary", "Observations of a batch that goes to a shard."),
    "waiting_rows": Measure("summary", "Observations of a shard that wait on after a firing."),
    "state_bytes": Measure("summary", "Bytes of a shard's state after a firing, in Arrow."),
    "message_sequences": Measure("summary", "Sequences in a message of the sequence topic."),
    "message_bytes": Measure("summary", "Bytes of such a message, compressed."),
}
"""Every metric by its name, without `phia_` before it and, of counters, `_total` behind it."""


def count(name: str, by: int, *labels: str) -> None:
    """Adds to a counter."""
    _counter(named(name, "", labels)).inc(by)


def count_late(rows: pa.Table, spec: Spec) -> None:
    """Counts late observations by source."""
    sources = np.bincount(ints(rows["source"])).tolist()
    for source, many in zip(source_names(spec), sources, strict=False):
        if many:
            count("late", many, source, LATE)


def show(name: str, value: int, *labels: str) -> None:
    """Sets a gauge."""
    _gauge(named(name, "", labels)).set(value)


def observe(name: str, value: int, *labels: str, many: int = 1) -> None:
    """Adds a value to a summary, or the sum of `many` values."""
    _counter(named(name, "_sum", labels)).inc(value)
    _counter(named(name, "_count", labels)).inc(many)


def observe_all(name: str, values: Ints) -> None:
    """Adds values [n] to a histogram; those below 0 count as 0."""
    if not len(values):
        return
    values = np.sort(np.maximum(values, 0))
    bounds = MEASURES[name].bounds
    under = np.searchsorted(values, bounds, "right").tolist()
    for bound, many in [*zip(bounds, under, strict=True), (INF, len(values))]:
        _counter(named(name, "_bucket", (str(bound),))).inc(many)
    _counter(named(name, "_sum", ())).inc(int(values.sum()))
    _counter(named(name, "_count", ())).inc(len(values))


@cache
def named(name: str, end: str, labels: tuple[str, ...]) -> str:
    """A metric's name in Beam. Raises KeyError or ValueError for one that MEASURES lacks."""
    wanted = MEASURES[name].series[end]
    if len(labels) != len(wanted):
        raise ValueError(f"metric {name}: takes the labels {', '.join(wanted) or '(none)'}")
    return ":".join((name + end, *labels))


def parsed(written: str) -> tuple[str, str, dict[str, str]] | None:
    """The metric, the end and the labels of a name in Beam; None where MEASURES lacks it."""
    head = written.partition(":")[0]
    for name, end, wanted in _known():
        if head == name + end:
            labels = written[len(head) + 1 :].rsplit(":", max(len(wanted) - 1, 0))
            return name, end, dict(zip(wanted, labels, strict=False))
    return None


@dataclass
class Stopwatch:
    """Adds up the time that work takes, in µs."""

    us: int = 0

    def items(self, of: Generator[T, None, R]) -> Generator[T, None, R]:
        """The same items; the time to make each counts, that of those who take them does not."""
        while True:
            with self:
                try:
                    item = next(of)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
            yield item

    def __enter__(self) -> "Stopwatch":
        self._began = time.perf_counter_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self.us += (time.perf_counter_ns() - self._began) // 1000


@cache
def _known() -> list[tuple[str, str, tuple[str, ...]]]:
    return [(name, end, labels) for name, m in MEASURES.items() for end, labels in m.series.items()]


@cache
def _counter(name: str) -> Any:
    return Metrics.counter(NAMESPACE, name)


@cache
def _gauge(name: str) -> Any:
    return Metrics.gauge(NAMESPACE, name)
