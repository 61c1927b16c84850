"""Reports as Prometheus reads them, from a file and from a port."""

import math
import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from model.reporting.names import figure
from model.reporting.prometheus import Prometheus
from model.reporting.report import Reported
from pipeline.java.ports import free_port
from schemas.failures import UsageError

ODD = 'a/b "c"\\\n%2F'
FIGURES = {
    "loss": 0.5,
    figure("ranking/ne", action="CLICK", over="window"): 0.75,
    figure("ranking/ne", action=ODD, age="<1h", over="window"): math.nan,
    "retrieval/mrr/over=all": 0.25,
}
REPORTED = Reported(3, 1200, FIGURES)

Sample = tuple[str, tuple[tuple[str, str], ...]]


def parsed(text: str) -> dict[Sample, float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def asked(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_the_file_is_prometheus_text_of_the_last_report(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "train.prom"
    prometheus = Prometheus({"ranking/ne": "Normalised entropy."}, file=file)
    prometheus.write(Reported(2, 800, {"gone": 1.0}))
    prometheus.write(REPORTED)
    prometheus.close()
    found = parsed(file.read_text(encoding="utf-8"))
    odd = ("phia_train_ranking_ne", (("action", ODD), ("age", "<1h"), ("over", "window")))
    assert math.isnan(found.pop(odd))
    assert found == {
        ("phia_train_steps_total", ()): 3,
        ("phia_train_tokens_total", ()): 1200,
        ("phia_train_loss", ()): 0.5,
        ("phia_train_ranking_ne", (("action", "CLICK"), ("over", "window"))): 0.75,
        ("phia_train_retrieval_mrr", (("over", "all"),)): 0.25,
    }
    assert "# HELP phia_train_ranking_ne Normalised entropy.\n" in file.read_text(encoding="utf-8")
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_port_gives_each_report_until_it_is_closed() -> None:
    port = free_port()
    prometheus = Prometheus({}, port=port)
    assert parsed(asked(port))["phia_train_steps_total", ()] == 0
    for step in (1, 2):
        prometheus.write(Reported(step, 10, {"loss": 1 / step}))
        assert parsed(asked(port))["phia_train_loss", ()] == 1 / step
    prometheus.close()
    with pytest.raises(OSError, match="refused"):
        asked(port)


def test_only_the_loopback_address_answers() -> None:
    port = free_port()
    prometheus = Prometheus({}, port=port)
    with pytest.raises(OSError, match="refused"):  # would answer if all addresses were listened at
        socket.create_connection(("127.0.0.2", port), timeout=10)
    prometheus.close()


def test_two_trainers_do_not_share_figures(tmp_path: Path) -> None:
    one, two = (Prometheus({}, file=tmp_path / name) for name in ("one", "two"))
    one.write(Reported(1, 1, {"a": 1.0}))
    two.write(Reported(1, 1, {"b": 1.0}))
    assert "phia_train_b" not in (tmp_path / "one").read_text()


def test_what_cannot_be_served_or_written_is_a_usage_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"metrics port {port}: Address already in use"):
            Prometheus({}, port=port)
    with pytest.raises(UsageError, match="metrics port 70000: "):
        Prometheus({}, port=70_000)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"metrics file .*/train\.prom: "):
        Prometheus({}, file=tmp_path / "file" / "train.prom")
