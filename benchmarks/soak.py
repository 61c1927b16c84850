"""Does state stay flat? A stream at a steady rate on Flink, looked at once a minute.

    python -m benchmarks.soak [--minutes 60] [--rate 500] [other options go to phia run]

Histories are bounded (64 contents), so after some minutes the state of users is as large as it
gets; what grows then is a leak. Prints, a line a minute: bytes and seconds of the last checkpoint,
bytes of state as the stage counts them, and the memory of the task manager and the Python workers.
"""

import argparse
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from benchmarks.live import Live
from benchmarks.measure import machine
from benchmarks.sequences import Topic
from benchmarks.streaming import TOPIC, stream
from pipeline.broker import Broker
from pipeline.flink.cluster import Cluster

MINUTE_S = 60.0
_STATE = "phia_state_bytes"


def main() -> int:
    """Runs the stream, and prints what it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--rate", type=int, default=500)
    given, more = parser.parse_known_args()
    print(machine(), "\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with Broker(folder / "kafka") as broker, Cluster(folder / "flink") as cluster:
            live = Live(broker.bootstrap, folder / "spec.yaml", given.rate)
            Topic(broker.bootstrap, TOPIC)
            options = [*cluster.options(), *more]
            with stream(folder / "spec.yaml", broker.bootstrap, folder, options), live.sending():
                _watch(cluster, given.minutes)
    return 0


def _watch(cluster: Cluster, minutes: int) -> None:
    print("minute | checkpoint MB | checkpoint s | failed | state MB | manager MB | workers MB")
    before = (0.0, 0.0)
    for minute in range(1, minutes + 1):
        time.sleep(MINUTE_S)
        (job,) = cluster.rest.jobs()
        found = cluster.rest.checkpoints(job)
        last = found["latest"]["completed"] or {"state_size": 0, "end_to_end_duration": 0}
        now = _measured(cluster.ports.task_metrics)
        firings = now[1] - before[1]
        state = (now[0] - before[0]) / firings if firings else 0.0
        before = now
        manager = psutil.Process(cluster.pids["taskmanager"])
        workers = sum(child.memory_info().rss for child in manager.children(recursive=True))
        print(
            f"{minute} | {last['state_size'] / 1e6:.2f} | {last['end_to_end_duration'] / 1e3:.1f}"
            f" | {found['counts']['failed']} | {state / 1e6:.3f} a shard"
            f" | {manager.memory_info().rss / 1e6:.0f} | {workers / 1e6:.0f}",
            flush=True,
        )


def _measured(port: int) -> tuple[float, float]:
    """The sum of the bytes that shards held at firings so far, and how many firings these were."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    values = {"_sum": 0.0, "_count": 0.0}
    for line in lines:
        for end in values:
            if f"{_STATE}{end}" in line and not line.startswith("#"):
                values[end] += float(line.rpartition(" ")[2])
    return values["_sum"], values["_count"]


if __name__ == "__main__":
    sys.exit(main())
