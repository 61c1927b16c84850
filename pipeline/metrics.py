"""A run's metrics as Prometheus has them: as text in a file, or at a port while the run lasts."""

import errno
import os
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.portable_runner import PipelineResult
from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from pipeline.options import IN_PROCESS
from schemas.failures import UsageError
from transforms.measures import MEASURES, NAMESPACE, Measure, parsed

WRITE_S = 10.0
"""Between two writings of a metrics file while a run lasts."""

TELL_AT_THE_END = (*IN_PROCESS, "FlinkRunner")
"""Runners that answer for a job's metrics only when it has ended."""

_HOST = "127.0.0.1"

Labels = tuple[str, ...]
Values = Mapping[str, Mapping[str, Mapping[Labels, int]]]
"""By metric, by the end of the name, by the labels."""


class BeamCollector(Collector):
    """Gives the metrics of a pipeline's result whenever Prometheus asks."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def collect(self) -> Iterator[Metric]:
        """One family a metric. A runner that does not tell yet gives none, rather than zeros."""
        values = _values(self._result)
        if not values:
            return
        for name, measure in MEASURES.items():
            yield _family(f"phia_{name}", measure, values[name])


def counters(result: Any) -> dict[str, int]:
    """The sums of our counters by name; those of what has labels over all of them."""
    values = _values(result)
    return {
        name: sum(values[name][""].values()) for name, m in MEASURES.items() if m.kind == "counter"
    }


def check_metrics(path: Path | None, port: int | None, options: PipelineOptions) -> None:
    """Raises UsageError where metrics can't be written to a file, or served at a port."""
    if path is not None:
        with _wrong_use(f"--metrics-file={path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if port is None:
        return
    runner = str(options.view_as(StandardOptions).runner).rpartition(".")[2]
    if runner in TELL_AT_THE_END:
        raise UsageError(
            f"--metrics-port={port}: {runner} tells its metrics only when a run has ended: use "
            "--metrics-file, and on Flink its own reporter (docs/guides/metrics.md)"
        )
    with _wrong_use(f"--metrics-port={port}"), socket.create_server((_HOST, port)):
        pass


def write_metrics(result: Any, path: Path) -> None:
    """Writes the metrics as text, whole or not at all. Raises UsageError."""
    with _wrong_use(f"--metrics-file={path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(path), _registry(result))


@contextmanager
def metrics_kept(result: Any, path: Path | None, every: float = WRITE_S) -> Iterator[None]:
    """While this lasts the metrics are written every few seconds, and when it has ended well.
    Raises UsageError where they can't be then."""
    if path is None:
        yield
        return
    done = threading.Event()
    writer = threading.Thread(target=_keep, args=(result, path, done, every), daemon=True)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()
    write_metrics(result, path)


def serve_metrics(result: Any, port: int) -> None:
    """Serves the metrics at http://127.0.0.1:PORT/metrics from a thread, until the process ends.
    Raises UsageError."""
    with _wrong_use(f"--metrics-port={port}"):
        start_http_server(port, addr=_HOST, registry=_registry(result))


def _keep(result: Any, path: Path, done: threading.Event, every: float) -> None:
    while not done.wait(every):
        # A job server that is gone, or a disk that is full, may be back the next time.
        with suppress(UsageError, grpc.RpcError):
            write_metrics(result, path)


def _family(name: str, measure: Measure, by_end: Mapping[str, Mapping[Labels, int]]) -> Metric:
    if measure.kind in ("counter", "gauge"):
        plain = CounterMetricFamily if measure.kind == "counter" else GaugeMetricFamily
        family = plain(name, measure.help, labels=measure.labels)
        start = {} if measure.labels or measure.kind == "gauge" else {(): 0}
        for labels, value in (start | dict(by_end[""])).items():
            family.add_metric(labels, value)
        return family
    return _summed(name, measure, by_end)


def _summed(name: str, measure: Measure, by_end: Mapping[str, Mapping[Labels, int]]) -> Metric:
    counts, sums = by_end["_count"], by_end["_sum"]
    if measure.kind == "summary":
        summary = SummaryMetricFamily(name, measure.help, labels=measure.labels)
        for labels, number in counts.items():
            summary.add_metric(labels, number, sums[labels])
        return summary
    histogram = HistogramMetricFamily(name, measure.help)
    bounds = [str(bound) for bound in measure.bounds]
    for labels, number in counts.items():
        buckets = [(bound, by_end["_bucket"].get((bound,), 0)) for bound in bounds]
        histogram.add_metric(labels, [*buckets, ("+Inf", number)], sums[labels])
    return histogram


def _values(result: Any) -> Values:
    """Our metrics: of counters the sum over steps, of gauges the newest; what is attempted where
    nothing is committed."""
    found: Any = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    answer = _asked(result)
    for each in answer["counters"]:
        if (known := _ours(each)) is not None:
            name, end, labels = known
            found[name][end][tuple(labels.values())] += int(each.result or 0)
    for each in answer["gauges"]:
        if (known := _ours(each)) is not None and each.result is not None:
            name, end, labels = known
            found[name][end][tuple(labels.values())] = int(each.result.value)
    return found  # type: ignore[no-any-return]


def _asked(result: Any) -> dict[str, Any]:
    """What the runner answers now: a portable runner's result keeps its first answer for ever.
    That of the in-process runner is final, and would lack most of it the second time."""
    if isinstance(result, PipelineResult):
        result._metrics = None
    return result.metrics().query()  # type: ignore[no-any-return]


def _ours(each: Any) -> tuple[str, str, dict[str, str]] | None:
    metric = each.key.metric
    return parsed(metric.name) if metric.namespace == NAMESPACE else None


@contextmanager
def _wrong_use(option: str) -> Iterator[None]:
    try:
        yield
    except (OSError, OverflowError) as error:
        raise UsageError(f"{option}: {getattr(error, 'strerror', None) or error}") from error


def _registry(result: Any) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(BeamCollector(result))
    return registry
