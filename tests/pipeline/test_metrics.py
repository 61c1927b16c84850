"""Beam's metrics as Prometheus has them."""

import socket
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from apache_beam.metrics.cells import GaugeData
from apache_beam.metrics.monitoring_infos import int64_user_counter, int64_user_gauge
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.portable_runner import PipelineResult
from prometheus_client.parser import text_string_to_metric_families

from pipeline.java.ports import free_port
from pipeline.metrics import (
    check_metrics,
    counters,
    metrics_kept,
    serve_metrics,
    write_metrics,
)
from schemas.failures import UsageError
from transforms.measures import MEASURES


@dataclass
class Name:
    namespace: str
    name: str


@dataclass
class Key:
    metric: Name
    step: str = "step"


@dataclass
class Gauge:
    value: int


@dataclass
class Found:
    key: Key
    result: Any


@dataclass
class Result:
    """As a Beam result answers, with counters and gauges by (namespace, name)."""

    counts: list[tuple[str, str, int | None]] = field(default_factory=list)
    gauges: list[tuple[str, str, int]] = field(default_factory=list)

    def metrics(self) -> "Result":
        return self

    def query(self) -> dict[str, Any]:
        return {
            "counters": [Found(Key(Name(ns, name)), n) for ns, name, n in self.counts],
            "gauges": [Found(Key(Name(ns, name)), Gauge(n)) for ns, name, n in self.gauges],
        }


class JobServer:
    """Answers for a job that goes on: one more late record each time it is asked."""

    late = 0

    def GetJobMetrics(self, request: Any) -> Any:
        self.late += 1
        assert request.job_id == "job"
        return beam_job_api_pb2.GetJobMetricsResponse(
            metrics=beam_job_api_pb2.MetricResults(
                attempted=[
                    int64_user_counter("phia", "late:x:why", self.late, ptransform="step"),
                    int64_user_gauge("phia", "watermark_ms:0", GaugeData(7), ptransform="step"),
                ]
            )
        )


RESULT = Result(
    [
        ("phia", "records:views", 3),
        ("phia", 'records:odd "name"\\\n', 2),
        ("phia", "rejected:views:malformed", 1),
        ("phia", "rejected:a.b:bad_time", 4),
        ("phia", "rejected::too_large", 1),
        ("phia", "late:views:behind_watermark", 1),
        ("phia", "late:views:behind_watermark", 2),
        ("phia", "sessions", None),
        ("phia", "stage_us_sum:decode", 700),
        ("phia", "stage_us_count:decode", 7),
        ("phia", "shard_rows_sum", 90),
        ("phia", "shard_rows_count", 9),
        ("phia", "latency_ms_bucket:250", 1),
        ("phia", "latency_ms_bucket:500", 3),
        ("phia", "latency_ms_bucket:Inf", 4),
        ("phia", "latency_ms_sum", 123_456),
        ("phia", "latency_ms_count", 4),
        ("phia", "unheard_of", 5),
        ("beam", "sessions", 77),
    ],
    [("phia", "watermark_ms:3", 1_700_000_000_000), ("phia", "consumer_lag:a.b:3", 12)],
)


def parsed(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_are_ours_and_summed_over_steps_and_labels() -> None:
    found = counters(RESULT)
    assert (found["records"], found["rejected"], found["late"], found["sessions"]) == (5, 6, 3, 0)
    assert found.keys() == {name for name, m in MEASURES.items() if m.kind == "counter"}


def test_the_text_is_prometheus_text(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "metrics.prom"
    write_metrics(RESULT, file)
    found = parsed(file.read_text())
    assert found["phia_records_total", "views"] == 3
    assert found["phia_records_total", 'odd "name"\\\n'] == 2
    assert found["phia_rejected_total", "malformed", "views"] == 1
    assert found["phia_rejected_total", "bad_time", "a.b"] == 4
    assert found["phia_rejected_total", "too_large", ""] == 1
    assert found["phia_late_total", "behind_watermark", "views"] == 3
    assert found["phia_tokens_total",] == 0
    assert found["phia_watermark_ms", "3"] == 1_700_000_000_000
    assert found["phia_consumer_lag", "3", "a.b"] == 12
    assert found["phia_stage_us_sum", "decode"] == 700
    assert found["phia_stage_us_count", "decode"] == 7
    assert found["phia_shard_rows_sum",] == 90
    families = {family.name for family in text_string_to_metric_families(file.read_text())}
    assert families == {f"phia_{name}" for name in MEASURES}
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_histogram_has_all_its_buckets(tmp_path: Path) -> None:
    write_metrics(RESULT, tmp_path / "metrics.prom")
    found = parsed((tmp_path / "metrics.prom").read_text())
    assert [found["phia_latency_ms_bucket", bound] for bound in ("250", "500", "+Inf")] == [1, 3, 4]
    assert (found["phia_latency_ms_sum",], found["phia_latency_ms_count",]) == (123_456, 4)


def test_a_runner_that_tells_nothing_yet_gives_no_zeros(tmp_path: Path) -> None:
    write_metrics(Result([("beam", "elements", 3)]), tmp_path / "metrics.prom")
    assert parsed((tmp_path / "metrics.prom").read_text()) == {}


def test_each_scrape_asks_the_job_server_anew() -> None:
    port, found = free_port(), []
    serve_metrics(PipelineResult(JobServer(), "job", [], []), port)
    for _ in range(3):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            found.append(parsed(answer.read().decode()))
        assert found[-1]["phia_watermark_ms", "0"] == 7
    late = [each["phia_late_total", "why", "x"] for each in found]
    assert late[0] < late[1] < late[2]


def test_a_port_that_is_taken_is_a_usage_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--metrics-port={port}"):
            serve_metrics(Result(), port)
        with pytest.raises(UsageError, match=f"--metrics-port={port}"):
            check_metrics(None, port, PipelineOptions(["--runner=PrismRunner"]))


@pytest.mark.parametrize("runner", ["FnApiRunner", "DirectRunner", "FlinkRunner"])
def test_a_port_is_refused_where_the_runner_would_tell_nothing(runner: str) -> None:
    options = PipelineOptions([f"--runner={runner}"])
    with pytest.raises(UsageError, match=f"{runner} tells its metrics only when a run has ended"):
        check_metrics(None, free_port(), options)
    check_metrics(None, None, options)


def test_a_file_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--metrics-file="):
        write_metrics(Result(), tmp_path / "file" / "metrics.prom")


def test_the_file_is_kept_while_a_run_lasts_and_has_its_end(tmp_path: Path) -> None:
    file, result = tmp_path / "metrics.prom", Result()
    with metrics_kept(result, file, every=0.05):
        for late in (1, 2):
            result.counts = [("phia", "late:x:why", late)]
            wait_for(file, late)
        threads = {thread.name for thread in threading.enumerate()}
        result.counts = [("phia", "late:x:why", 9)]
    assert parsed(file.read_text())["phia_late_total", "why", "x"] == 9
    assert threads - {thread.name for thread in threading.enumerate()}


def wait_for(file: Path, late: int) -> None:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        if file.exists() and parsed(file.read_text()).get(("phia_late_total", "why", "x")) == late:
            return
        time.sleep(0.01)
    raise AssertionError(f"{file} never said {late}")


def test_a_file_that_fails_in_between_is_written_the_next_time(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.write_text("a file where the folder should be")
    result = Result([("phia", "late:x:why", 1)])
    with metrics_kept(result, folder / "metrics.prom", every=0.02):
        time.sleep(0.1)
        folder.unlink()
        wait_for(folder / "metrics.prom", 1)
