"""Scenarios one after the other on one cluster, which is begun anew after one that failed."""

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from chaos.play import Play
from chaos.report import Report
from chaos.scenarios import Scenario
from pipeline.flink.cluster import Cluster


def run_all(
    scenarios: Mapping[str, Scenario], folder: Path, seed: int, minutes: float, report: Report
) -> None:
    """Plays each scenario, and reports it. Their files go, but for those of one that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=folder)).resolve()
    with ExitStack() as running:
        cluster: Cluster | None = None
        for name, scenario in scenarios.items():
            report.begin(name, scenario.about, seed)
            cluster = cluster or running.enter_context(Cluster(work / f"flink-{name}"))
            play = Play(name, scenario, cluster, work / name, seed, minutes, report.say)
            result = play.result()
            report.add(result)
            if result.good:
                shutil.rmtree(work / name)
            else:
                running.close()
                cluster = None
    if report.good:
        shutil.rmtree(work)
