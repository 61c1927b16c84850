"""A Flink cluster of one machine: four Java programs, each in a process of its own."""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.flink.distribution import Distribution, find_distribution
from pipeline.flink.programs import PROGRAMS, command
from pipeline.flink.rest import Rest
from pipeline.flink.settings import Ports, write_settings
from pipeline.java.jvm import Jvm
from pipeline.java.locks import take_lock
from pipeline.java.packages import JavaError
from pipeline.java.ports import HOST, answers

START_S = 180.0


class Cluster:
    """A cluster that keeps everything in `folder`; a context manager that starts and stops it.

    `rest` is Flink's own port, 0 for a free one; `slots` is how many tasks run side by side.
    Jobs and their state outlive the cluster: started again in its folder, it goes on with them.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        rest: int = 0,
        slots: int = 2,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = Path(folder).resolve()
        self._rest = rest
        self._slots = slots
        self._progress = progress or (lambda step: None)
        self._running: dict[str, Jvm] = {}

    def __enter__(self) -> "Cluster":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each program, by its name in PROGRAMS."""
        return {name: jvm.pid for name, jvm in self._running.items()}

    @property
    def rest(self) -> Rest:
        """Flink's own interface."""
        return Rest(self._ports.rest)

    @property
    def ports(self) -> Ports:
        """Where the programs listen."""
        return self._ports

    def start(self, limit: float = START_S) -> None:
        """Starts all, and returns when jobs can be submitted. Raises JavaError."""
        with ExitStack() as undo:
            self._lock = self._locked()
            undo.callback(self.stop)
            self._distribution: Distribution = find_distribution(self._progress)
            self._ports = Ports.free(self._rest)
            write_settings(self.folder, self._ports, self._slots)
            self._write_worker()
            for program in PROGRAMS:
                self._start(program)
            self._await_ready(time.monotonic() + limit)
            undo.pop_all()

    def mend(self) -> list[str]:
        """Starts the programs again that have ended, and gives their names."""
        ended = [name for name, jvm in self._running.items() if jvm.status is not None]
        for name in ended:
            self._start(name)
        return ended

    def kill(self, program: str) -> None:
        """Ends a program at once, as a crash would; `mend` starts it again."""
        self._running[program].kill()

    def stop(self, limit: float = 15.0) -> None:
        """Ends all in order, by force after `limit` s each; jobs and their state stay."""
        for name in reversed(PROGRAMS):
            if name in self._running:
                self._running.pop(name).stop(limit)
        self._lock.close()

    def options(self) -> list[str]:
        """Beam's options that submit a pipeline here, in as many parts as there are slots."""
        process = json.dumps({"command": str(self._worker)}, separators=(",", ":"))
        return [
            "--runner=FlinkRunner",
            f"--job_endpoint={HOST}:{self._ports.job}",
            "--environment_type=PROCESS",
            f"--environment_config={process}",
            f"--parallelism={self._slots}",
            f"--sdk_worker_parallelism={self._slots}",
        ]

    def describe(self) -> dict[str, Any]:
        """All that others need to know of it, as plain values."""
        return {"ports": self._ports.as_dict(), "pids": self.pids, "options": self.options()}

    def _locked(self) -> BinaryIO:
        """The folder, for us alone: the programs inherit the lock, should we be killed."""
        lock = lock_of(self.folder)
        if lock is None:
            raise JavaError(f"the folder {self.folder} is in use by another cluster: stop it first")
        return lock

    @property
    def _worker(self) -> Path:
        return self.folder / "worker"

    def _write_worker(self) -> None:
        """The program that Flink starts for each Python worker."""
        self._worker.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pipeline.flink.boot "$@"\n')
        self._worker.chmod(0o755)

    def _start(self, program: str) -> None:
        self._progress(f"starting {program}")
        log = self.folder / f"{program}.log"
        line = command(program, self._distribution, self.folder, self._ports, self._slots)
        plugins = {"FLINK_PLUGINS_DIR": str(self._distribution.plugins)}
        self._running[program] = Jvm(line, log, [self._lock.fileno()], plugins)

    def _await_ready(self, deadline: float) -> None:
        while not (self.rest.slots >= self._slots and answers(self._ports.job)):
            for name, jvm in self._running.items():
                if jvm.status is not None:
                    log = self.folder / f"{name}.log"
                    raise JavaError(f"{name} ended: {jvm.last_words()} (see {log})")
            if time.monotonic() > deadline:
                raise JavaError(f"Flink is not ready in time: see the logs in {self.folder}")
            time.sleep(0.25)


def lock_of(folder: Path, limit: float = 0.0) -> BinaryIO | None:
    """The lock of a cluster's folder; None where a cluster has held it for `limit` seconds. Raises
    JavaError where the folder can't be used."""
    try:
        return take_lock(folder / "cluster.lock", limit)
    except OSError as error:
        raise JavaError(f"the folder {folder} cannot be used: {error}") from error
