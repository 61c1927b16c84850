"""A run of the pipeline on Flink, submitted and watched; and the bounded run to hold it against."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.flink.cluster import Cluster
from pipeline.flink.rest import FlinkError
from schemas.failures import Failure

SUBMIT_S, BOUNDED_S = 180.0, 600.0
STREAMING = (
    "--streaming",
    "--checkpointing_interval=2000",
    "--max_bundle_time_mills=20",
    "--shards=16",
)
_RUN = (sys.executable, "-m", "pipeline.cli", "run")


class Job:
    """A job that never ends on a cluster: `command` is what `phia run` is told besides where;
    `instead` are options that win over those of the cluster."""

    def __init__(
        self, cluster: Cluster, command: Sequence[str], log: Path, instead: Sequence[str] = ()
    ) -> None:
        self._cluster = cluster
        before = set(cluster.rest.jobs())
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [*_RUN, *command, *STREAMING, *cluster.options(), *instead],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.id = self._submitted(before, log)

    def checkpointed(self, since: float) -> bool:
        """Whether a checkpoint that was begun after a time (s since 1970) is complete."""
        try:
            latest = self._cluster.rest.checkpoints(self.id)["latest"]["completed"]
        except (FlinkError, KeyError):
            return False
        return latest is not None and latest["trigger_timestamp"] > since * 1000

    def await_checkpoint(self) -> None:
        """Returns when the job has its first checkpoint. Raises Failure."""
        until = time.monotonic() + SUBMIT_S
        while not self.checkpointed(0):
            if time.monotonic() > until:
                raise Failure(f"job {self.id} has no checkpoint after {SUBMIT_S:.0f} s")
            time.sleep(0.25)

    def cancel(self) -> None:
        """Ends the job, and the program that watches it."""
        self._process.kill()
        self._process.wait(10)
        self._cluster.rest.cancel(self.id)

    def _submitted(self, before: set[str], log: Path) -> str:
        until = time.monotonic() + SUBMIT_S
        while time.monotonic() < until and self._process.poll() is None:
            for job, state in self._cluster.rest.jobs().items():
                if job not in before and state == "RUNNING":
                    return job
            time.sleep(0.25)
        self._process.kill()
        self._process.wait(10)
        raise Failure(f"no job was submitted in {SUBMIT_S:.0f} s: see {log}")


def run_bounded(command: Sequence[str], log: Path) -> None:
    """Runs the pipeline in this machine's memory up to the topics' ends. Raises Failure."""
    with open(log, "ab") as output:
        done = subprocess.run(
            [*_RUN, *command, "--until=latest"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=BOUNDED_S,
            check=False,
        )
    if done.returncode:
        raise Failure(f"the bounded run ended with {done.returncode}: see {log}")
