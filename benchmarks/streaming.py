"""A stream from Kafka to the sequence topic on a real engine: how much, and how soon.

    python -m benchmarks.streaming throughput [--engine flink|prism] [--events 3000000]
    python -m benchmarks.streaming latency [--engine flink|prism] [--rate 10000] [--seconds 90]

`throughput` fills the topics beforehand, beside a bare poll loop over them. `latency` sends events
as they happen: from the moment at which a session is complete in event time to the moment at which
a consumer of the topic has its sequence. Other options go to `phia run`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.live import Live, latencies
from benchmarks.measure import machine, measured, module, phia, table
from benchmarks.sequences import Arrived, Topic

TOPIC = "sequences"
SILENT_S = 30.0
START_S, WARM_S, LIMIT_S = 180.0, 45.0, 900.0


def main() -> int:
    """Runs what is asked for, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("throughput", "latency"))
    parser.add_argument("--engine", choices=("flink", "prism"), default="flink")
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=90)
    given, more = parser.parse_known_args()
    given.more = more
    print(machine(), "\n")
    with tempfile.TemporaryDirectory() as scratch:
        if given.what == "throughput":
            print(_throughput(Path(scratch), given))
        else:
            print(_latency(Path(scratch), given))
    return 0


def _throughput(scratch: Path, given: argparse.Namespace) -> str:
    from pipeline.broker import Broker

    spec, log = scratch / "spec.yaml", scratch / "log"
    with Broker(scratch / "kafka") as broker, _engine(given.engine, scratch) as engine:
        fill = module("benchmarks.publish", broker.bootstrap, spec, given.events, "--form", "arrow")
        events = json.loads(measured(fill, log).printed)["events"]
        bare = measured(
            module("benchmarks.rivals.kafka_poll", broker.bootstrap, "views", "likes"), log
        )
        topic = Topic(broker.bootstrap, TOPIC)
        with stream(spec, broker.bootstrap, scratch, [*engine, *given.more]):
            arrived = topic.until_silent(START_S, SILENT_S, LIMIT_S)
        began = _first_file(scratch / "out")
    return table(_THROUGHPUT, [_row(given.engine, events, bare.seconds, arrived, began)])


def _first_file(out: Path) -> float:
    """When the first bundle that was read was done (Unix, s): its statistics are written then."""
    return min(
        file.stat().st_mtime for file in out.glob("statistics/*") if "empty" not in file.name
    )


_THROUGHPUT = [
    "engine", "events", "submit to first read s", "first read to last sequence s", "k events/s",
    "sequences", "bare poll k events/s",
]  # fmt: skip


def _row(engine: str, events: int, bare: float, arrived: Arrived, began: float) -> list[str]:
    took = arrived.last - began
    return [
        engine,
        f"{events:,}",
        f"{began - arrived.begun:.1f}",
        f"{took:.1f}",
        f"**{events / took / 1e3:.0f}**",
        f"{arrived.rows:,}",
        f"{events / bare / 1e3:.0f}",
    ]


def _latency(scratch: Path, given: argparse.Namespace) -> str:
    from pipeline.broker import Broker

    spec = scratch / "spec.yaml"
    with Broker(scratch / "kafka") as broker, _engine(given.engine, scratch) as engine:
        live = Live(broker.bootstrap, spec, given.rate)
        topic = Topic(broker.bootstrap, TOPIC)
        running = stream(spec, broker.bootstrap, scratch, [*engine, *given.more])
        with running, live.sending():
            topic.await_first(START_S)
            for _ in topic.rows(WARM_S):  # it reads up on what came while it started
                pass
            waits = latencies(topic.rows(given.seconds))
    return table(
        ["engine", "events/s", "sequences", "p50 s", "p95 s", "p99 s"],
        [[given.engine, f"{live.rate:,.0f}", len(waits), *(f"{q:.2f}" for q in _quantiles(waits))]],
    )


def _quantiles(waits: Sequence[float]) -> list[float]:
    ordered = sorted(waits)
    return [ordered[int(len(ordered) * q)] for q in (0.5, 0.95, 0.99)]


@contextmanager
def _engine(name: str, scratch: Path) -> Iterator[list[str]]:
    """The options of an engine that runs meanwhile."""
    if name == "flink":
        from pipeline.flink.cluster import Cluster

        with Cluster(scratch / "flink") as cluster:
            yield cluster.options()
    else:
        from pipeline.prism import find_prism

        yield ["--runner=PrismRunner", f"--prism_location={find_prism()}"]


@contextmanager
def stream(
    spec: Path, bootstrap: str, scratch: Path, options: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """`phia run` without an end, until the block ends."""
    said = scratch / "run.log"
    outputs = ["--output", f"kafka://{bootstrap}/{TOPIC}", "--output", str(scratch / "out")]
    command = phia("run", spec, "--input", f"kafka://{bootstrap}", *outputs, *options)
    with open(said, "wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield child
        if child.poll() is not None:
            raise RuntimeError(f"phia run ended: {said.read_text()[-2000:]}")
    finally:
        child.terminate()
        child.wait(30)
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
