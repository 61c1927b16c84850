"""Beam's counters as Prometheus has them."""

import socket
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.metrics import HELP, counters, serve_metrics, write_metrics


@dataclass
class Name:
    namespace: str
    name: str


@dataclass
class Key:
    metric: Name
    step: str = "step"


@dataclass
class Counter:
    key: Key
    result: int | None


@dataclass
class Result:
    """As a Beam result answers, with counters by (namespace, name)."""

    counts: list[tuple[str, str, int | None]] = field(default_factory=list)

    def metrics(self) -> "Result":
        return self

    def query(self) -> dict[str, Any]:
        return {"counters": [Counter(Key(Name(ns, name)), n) for ns, name, n in self.counts]}


RESULT = Result(
    [
        ("phia", "records", 5),
        ("phia", "records.views", 3),
        ("phia", 'records.odd "name"\\\n', 2),
        ("phia", "rejected.malformed", 1),
        ("phia", "late", 1),
        ("phia", "late", 2),
        ("phia", "sessions", None),
        ("beam", "records", 77),
    ]
)


def parsed(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_are_ours_and_summed_over_steps() -> None:
    found = counters(RESULT)
    assert (found["records"], found["late"], found["sessions"]) == (5, 3, 0)


def test_the_text_is_prometheus_text(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "metrics.prom"
    write_metrics(RESULT, file)
    found = parsed(file.read_text())
    assert found["phia_records_total", "views"] == 3
    assert found["phia_records_total", 'odd "name"\\\n'] == 2
    assert found["phia_rejected_total", "malformed"] == 1
    assert found["phia_late_total",] == 3
    assert found["phia_tokens_total",] == 0
    families = {family.name for family in text_string_to_metric_families(file.read_text())}
    assert families == {f"phia_{name}" for name in HELP}
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_metrics_are_served_on_the_loopback_address_only() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    result = Result([("phia", "late", 1)])
    serve_metrics(result, port)
    for late in (1, 4):
        result.counts = [("phia", "late", late)]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert parsed(answer.read().decode())["phia_late_total",] == late


def test_a_port_that_is_taken_is_a_usage_error() -> None:
    from schemas.failures import UsageError

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--metrics-port={port}"):
            serve_metrics(Result(), port)


def test_a_file_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    from schemas.failures import UsageError

    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--metrics-file="):
        write_metrics(Result(), tmp_path / "file" / "metrics.prom")
