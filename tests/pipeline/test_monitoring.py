"""The monitoring example: its rules hold, its names are ours, and it fires on a real Prometheus."""

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.documents import ROOT, quoted, text_of
from tests.pipeline.alerting import EXAMPLE, Watch, example, hurried, program
from transforms.measures import MEASURES, named

GUIDE = ROOT / "docs" / "guides" / "metrics.md"
VALUES = {
    "source": "my_views",
    "reason": "bad_time",
    "reader": "12",
    "stage": "write_late",
    "le": "Inf",
}
FLINK = "flink_taskmanager_job_task_operator_phia_"


def needs(name: str) -> str:
    found = program(name)
    if found is None:
        pytest.skip(f"no {name}: see examples/monitoring/README.md")
    return found


def checked(*command: str) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=EXAMPLE, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_and_the_configuration_are_good() -> None:
    promtool = needs("promtool")
    checked(promtool, "check", "rules", "alerts.yml")
    checked(promtool, "check", "config", "prometheus.yml")


def test_each_alert_fires_on_what_it_is_for_and_rests_on_a_good_job() -> None:
    checked(needs("promtool"), "test", "rules", "alerts_test.yml")


def alerts() -> list[dict[str, Any]]:
    return [rule for group in example("alerts.yml")["groups"] for rule in group["rules"]]


def test_each_alert_has_its_test_and_says_what_to_do() -> None:
    text = text_of(EXAMPLE / "alerts_test.yml")
    for rule in alerts():
        assert f'alertname="{rule["alert"]}",alertstate="firing"' in text, rule["alert"]
        assert f"alertname: {rule['alert']}}}" in text, rule["alert"]
        assert rule["annotations"]["action"]


def test_alerts_use_metrics_that_there_are() -> None:
    known = {f"phia_{name}{end}" for name, m in MEASURES.items() for end in m.series}
    known |= {f"phia_{name}_total" for name, m in MEASURES.items() if m.kind == "counter"}
    for rule in alerts():
        for name in re.findall(r"\bphia_\w+", rule["expr"]):
            assert name in known, (rule["alert"], name)


def relabelled(name: str) -> tuple[str, dict[str, str]]:
    """The name and labels that the rules for Flink make of a name, as Prometheus does it."""
    jobs = {job["job_name"]: job for job in example("prometheus.yml")["scrape_configs"]}
    labels = {"__name__": name}
    for rule in jobs["flink"]["metric_relabel_configs"]:
        (source,) = rule["source_labels"]
        found = re.fullmatch(rule["regex"], labels.get(source, ""))
        if found:
            made = re.sub(r"\$\{?(\d)\}?", r"\\\1", rule.get("replacement", "$1"))
            labels[rule["target_label"]] = found.expand(made)
    return labels.pop("__name__"), {name: value for name, value in labels.items() if value}


@pytest.mark.parametrize("name", MEASURES)
def test_the_example_makes_our_names_of_those_that_flink_gives(name: str) -> None:
    measure = MEASURES[name]
    for end, labels in measure.series.items():
        there = named(name, end, tuple(VALUES[label] for label in labels))
        total = "_total" if measure.kind == "counter" else ""
        wanted = {label: VALUES[label] for label in labels}
        assert relabelled(FLINK + there) == (f"phia_{name}{end}{total}", wanted)


def test_other_names_are_left_be_and_no_source_is_none() -> None:
    assert relabelled("flink_jobmanager_job_uptime") == ("flink_jobmanager_job_uptime", {})
    wanted = ("phia_rejected_total", {"reason": "too_large"})
    assert relabelled(f"{FLINK}rejected::too_large") == wanted


def test_the_guide_has_every_metric_with_its_labels_and_every_alert_and_no_other() -> None:
    text = text_of(GUIDE)
    rows = re.findall(r"^\| `(phia_\w+)` \| ([^|]*)\|", text, re.MULTILINE)
    wanted = {
        f"phia_{name}{'_total' if m.kind == 'counter' else ''}": ", ".join(m.labels)
        for name, m in MEASURES.items()
    }
    assert {name: labels.strip() for name, labels in rows} == wanted
    assert len(rows) == len(wanted)
    named_alerts = {name for name in quoted(text) if re.fullmatch(r"(Phia|Flink)[A-Z]\w+", name)}
    assert named_alerts - {"FlinkRunner"} == {rule["alert"] for rule in alerts()}


def test_hurried_rules_have_short_minutes_only() -> None:
    rule = "rate(x[5m]) > 10000 and time() * 1000 > 10 * 60000\nfor: 2m"
    assert hurried(rule, 500) == "rate(x[2500ms]) > 10000 and time() * 1000 > 10 * 500\nfor: 1000ms"


@contextmanager
def served(text: list[str]) -> Iterator[str]:
    """An address that answers with the present text."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text[0].encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def as_flink(records: int, rejected: int, restarts: int, watermark: int) -> str:
    return "\n".join(
        [
            f"{FLINK}records:views {records}",
            f"{FLINK}rejected:views:malformed {rejected}",
            f"{FLINK}watermark_ms:0 {watermark}",
            f"flink_jobmanager_job_numRestarts {restarts}",
            "",
        ]
    )


def test_alerts_fire_on_a_real_prometheus_when_a_job_goes_wrong(tmp_path: Path) -> None:
    needs("prometheus")
    text = [as_flink(100, 0, 0, 1 << 45)]
    with served(text) as target, Watch(tmp_path, [target], 1_000) as watch:
        deadline = threading.Event()
        for step in range(1, 9):
            text[0] = as_flink(100 * step, 0, 0, 1 << 45)
            deadline.wait(1)
        assert watch.firing() == {}
        labels = watch.value("phia_records_total")
        assert [*labels.values()] == [800]
        for step in range(1, 9):
            text[0] = as_flink(800 + 50 * step, 50 * step, 1, 0)
            deadline.wait(1)
        assert watch.wait_for("PhiaRejects", 20).startswith("50% of the records of views")
        watch.wait_for("FlinkRestarts", 20)
        watch.wait_for("PhiaWatermarkStands", 20)
    assert {"PhiaRejects", "FlinkRestarts", "PhiaWatermarkStands"} <= set(watch.fired)
