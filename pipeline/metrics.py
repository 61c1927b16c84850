"""Beam's metrics as Prometheus has them: as text in a file, or at a port while a run lasts."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from schemas.failures import UsageError

NAMESPACE = "phia"
_HOST = "127.0.0.1"

HELP = {
    "records": "Records accepted, by source.",
    "filtered": "Records that a source's filter left out.",
    "rejected": "Records rejected, by reason.",
    "late": "Records that came after their time was released.",
    "copies": "Records that were copies of another.",
    "sessions": "Sessions completed.",
    "sequences": "Sequences emitted.",
    "tokens": "Tokens of the emitted sequences.",
    "raw_tokens": "Tokens that the emitted sequences would have had uncompressed.",
}

_LABEL = {"records": "source", "rejected": "reason"}


class BeamCollector(Collector):
    """Gives the counters of a pipeline's result whenever Prometheus asks."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One family a counter; what has parts is labelled by them."""
        counts = counters(self._result)
        for name, text in HELP.items():
            labels = [_LABEL[name]] if name in _LABEL else []
            family = CounterMetricFamily(f"phia_{name}", text, labels=labels)
            if not labels:
                family.add_metric([], counts.get(name, 0))
            for counter, value in counts.items():
                if labels and counter.startswith(name + "."):
                    family.add_metric([counter[len(name) + 1 :]], value)
            yield family


def counters(result: Any) -> dict[str, int]:
    """Our counters by name, summed over steps; what is attempted where nothing is committed."""
    found: dict[str, int] = {}
    for counter in result.metrics().query()["counters"]:
        metric = counter.key.metric
        if metric.namespace == NAMESPACE:
            found[metric.name] = found.get(metric.name, 0) + int(counter.result or 0)
    return found


def check_metrics(path: Path | None, port: int | None) -> None:
    """Raises UsageError where metrics can't be written to a file, or served at a port."""
    if path is not None:
        with _wrong_use(f"--metrics-file={path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
    if port is not None:
        with _wrong_use(f"--metrics-port={port}"), socket.create_server((_HOST, port)):
            pass


def write_metrics(result: Any, path: Path) -> None:
    """Writes the metrics as text, whole or not at all. Raises UsageError."""
    with _wrong_use(f"--metrics-file={path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(path), _registry(result))


def serve_metrics(result: Any, port: int) -> None:
    """Serves the metrics at http://127.0.0.1:PORT/metrics from a thread, until the process ends.
    Raises UsageError."""
    with _wrong_use(f"--metrics-port={port}"):
        start_http_server(port, addr=_HOST, registry=_registry(result))


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
