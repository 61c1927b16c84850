"""A cluster that outlives the command that started it: up, down, and what is known of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.flink.cluster import lock_of
from pipeline.flink.rest import Rest
from pipeline.flink.supervisor import STATE
from pipeline.java.packages import JavaError

UP_S, DOWN_S = 1_200.0, 90.0  # the first start fetches 300 MB


def up(folder: Path, rest: int, slots: int, progress: Callable[[str], None]) -> list[str]:
    """Starts a cluster and gives Beam's options to submit to it. Raises JavaError."""
    folder = folder.resolve()
    if _is_up(folder):
        raise JavaError(f"the folder {folder} is in use by another cluster: stop it first")
    (folder / STATE).unlink(missing_ok=True)
    log = folder / "supervisor.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.flink.supervisor", str(folder), str(rest), str(slots)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    told, deadline = 0, time.monotonic() + UP_S
    while not (folder / STATE).exists():
        steps = log.read_text().splitlines()
        if process.poll() is not None:
            raise JavaError(steps[-1] if steps else f"the supervisor ended: see {log}")
        for step in steps[told:]:
            progress(step)
        told = len(steps)
        if time.monotonic() > deadline:
            process.terminate()
            raise JavaError(f"Flink is not up after {UP_S:.0f} s: see the logs in {folder}")
        time.sleep(0.2)
    return options(folder)


def down(folder: Path) -> None:
    """Stops a cluster in order; jobs and their state stay in its folder. Raises JavaError."""
    supervisor = int(described(folder)["supervisor"])
    os.kill(supervisor, signal.SIGTERM)
    lock = lock_of(folder.resolve(), DOWN_S)
    if lock is None:
        raise JavaError(f"the cluster in {folder} has not ended after {DOWN_S:.0f} s")
    lock.close()


def options(folder: Path) -> list[str]:
    """Beam's options that submit a pipeline to the cluster. Raises JavaError."""
    return [str(option) for option in described(folder)["options"]]


def rest_of(folder: Path) -> Rest:
    """Flink's own interface. Raises JavaError."""
    return Rest(described(folder)["ports"]["rest"])


def described(folder: Path) -> dict[str, Any]:
    """Ports, process ids and options of a cluster that is up. Raises JavaError."""
    folder = folder.resolve()
    if not _is_up(folder) or not (folder / STATE).exists():
        raise JavaError(f"no cluster is up in {folder}: phia flink up --folder {folder}")
    state: dict[str, Any] = json.loads((folder / STATE).read_text())
    return state


def _is_up(folder: Path) -> bool:
    lock = lock_of(folder)
    if lock is None:
        return True
    lock.close()
    return False
