"""A process of its own that keeps a cluster running: what `phia flink up` leaves behind.

It starts again what ends, as the supervisor of a real cluster does, and writes what others need to
know into cluster.json.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import typer

from pipeline.flink.cluster import Cluster
from schemas.failures import Failure

STATE = "cluster.json"
_LOOK_S = 0.5


def supervise(folder: Path, rest: int, slots: int) -> None:
    """Runs a cluster until SIGTERM; mends it meanwhile. Raises JavaError where it can't start."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with Cluster(folder, rest, slots, progress=typer.echo) as cluster:
        _write(cluster)
        while not ended.wait(_LOOK_S):
            if cluster.mend():
                _write(cluster)
    (cluster.folder / STATE).unlink()


def _write(cluster: Cluster) -> None:
    described = {**cluster.describe(), "supervisor": os.getpid()}
    fresh = cluster.folder / f"{STATE}.part"
    fresh.write_text(json.dumps(described, indent=1))
    fresh.rename(cluster.folder / STATE)


if __name__ == "__main__":
    try:
        supervise(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    except Failure as error:
        sys.exit(str(error))
