"""Plays a scenario: a stream, what befalls it, and what is found in the end."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from subprocess import SubprocessError
from typing import Any

import psutil
from kafka.errors import KafkaError
from ruamel.yaml import YAML

from chaos.checking import WAIT_S, Checking
from chaos.compare import Verdict
from chaos.disk import Disk
from chaos.faults import Stage
from chaos.job import Job, run_bounded
from chaos.mirror import Lost, lost_of, mirror
from chaos.outputs import of_folder
from chaos.scenarios import Scenario
from chaos.sending import Sending
from chaos.stream import KEPT, TOPICS, chunks, platform_of
from chaos.training import Trainer
from kafka_client.clients import Connection
from kafka_client.topics import create_topics
from pipeline.broker import Broker
from pipeline.flink.cluster import Cluster
from schemas.failures import Failure
from schemas.load import load_spec
from schemas.outputs import REJECTED

SHOP = Path(__file__).parent.parent / "examples" / "shop" / "spec.yaml"
CHANGES: Mapping[str, Any] = {
    "session": {"gap": "5m", "max_contents": 20},
    "horizon": "5m",
    "history": {"contents": 32, "tokens": 128},
}
PARTITIONS = 2
AMISS = (Failure, KafkaError, OSError, SubprocessError, psutil.Error)
"""What may go wrong with a play: with its processes, its broker, its disk."""


@dataclass(frozen=True)
class Result:
    """What a scenario came to."""

    name: str
    seed: int
    seconds: float
    records: int
    kills: Mapping[str, int]
    recoveries: list[float]
    verdicts: Mapping[str, Verdict]
    gone: int = 0
    failure: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing was lost and nothing differs."""
        return not self.failure and all(verdict.good for verdict in self.verdicts.values())


@dataclass
class Play:
    """A scenario by its name and seed, on a cluster, with its files in `folder`; faults begin anew
    for so many `minutes`. `say` is told what happens."""

    name: str
    scenario: Scenario
    cluster: Cluster
    folder: Path
    seed: int
    minutes: float
    say: Callable[[str], None]
    _checks: dict[str, Verdict] = field(default_factory=dict)
    _stage: Stage | None = None
    _gone: int = 0
    _failure: str = ""

    def result(self) -> Result:
        """Plays it to its end. A failure of the play itself is a result, too."""
        begun = time.monotonic()
        try:
            self._play()
        except AMISS as error:
            self._failure = f"{type(error).__name__}: {error} ({self.folder})"
        stage = self._stage
        return Result(
            self.name,
            self.seed,
            time.monotonic() - begun,
            stage.sending.records if stage else 0,
            dict(stage.kills) if stage else {},
            stage.recoveries if stage else [],
            self._checks,
            self._gone,
            self._failure,
        )

    def _play(self) -> None:
        self.folder.mkdir(parents=True)
        with ExitStack() as stack:
            broker = stack.enter_context(Broker(self.folder / "kafka"))
            disk = Disk(self._out, self.scenario.disk_mb)
            if self.scenario.disk_mb:
                stack.enter_context(disk)
            self._stage = stage = stack.enter_context(self._staged(broker, disk))
            self.scenario.act(stage)
            self._check(stage)

    @contextmanager
    def _staged(self, broker: Broker, disk: Disk) -> Iterator[Stage]:
        """All that runs; ended in any case."""
        where = Connection(broker.bootstrap)
        create_topics(where, {**dict.fromkeys(TOPICS, PARTITIONS), "sequences": PARTITIONS}, KEPT)
        self._write_spec()
        random = Random(f"{self.name} {self.seed}")
        with ExitStack() as undo:
            sending = self._sending(where)
            undo.callback(sending.cancel)
            job = Job(self.cluster, self._command(where), self.folder / "run.log")
            undo.callback(job.cancel)
            topic = Connection(where.bootstrap, topic="sequences")
            trainer = Trainer(topic, self._spec, self.folder / "trainer")
            trainer.start()
            undo.callback(trainer.kill)
            job.await_checkpoint()
            until = time.monotonic() + 60 * self.minutes
            yield Stage(
                self.cluster, broker, job, sending, trainer, random, where, disk, self.say, until
            )

    def _check(self, stage: Stage) -> None:
        """Closes the stream and holds it against a bounded run."""
        close = stage.sending.finish()
        self.say(f"{stage.sending.records:,} records sent; the bounded run")
        topic = Connection(stage.where.bootstrap, topic="sequences")
        spec, expected = load_spec(self._spec), self.folder / "expected"
        if self.scenario.gone:
            self._expect_without(stage, expected)
        else:
            self._run_bounded(stage.where, expected)
        check = Checking(spec, topic, self._out, expected, close, self.scenario.gone)
        self._checks |= check.awaited()
        self._checks["trained"] = check.trained(stage.trainer.finish())

    def _expect_without(self, stage: Stage, expected: Path) -> None:
        until, lost = time.monotonic() + WAIT_S, Lost()
        while not lost and time.monotonic() < until:
            time.sleep(1)
            lost = lost_of(of_folder(self._out, "rejected", REJECTED))
        if not lost:
            raise Failure("the stream has lost nothing: it had read what was deleted")
        with Broker(self.folder / "mirror") as other:
            to = Connection(other.bootstrap)
            mirror(stage.where, stage.kept, lost, to)
            self._run_bounded(to, expected)
        self._gone = sum(map(len, lost.values()))

    def _run_bounded(self, where: Connection, out: Path) -> None:
        command = [str(self._spec), f"--input=kafka://{where.bootstrap}", f"--output={out}"]
        run_bounded(command, self.folder / "bounded.log")

    def _command(self, where: Connection) -> list[str]:
        to = [f"--output=kafka://{where.bootstrap}/sequences", f"--output={self._out}"]
        return [
            str(self._spec), f"--input=kafka://{where.bootstrap}", *to, *self.scenario.options
        ]  # fmt: skip

    def _sending(self, where: Connection) -> Sending:
        places = {
            topic: [n for n in range(PARTITIONS) if (topic, n) != self.scenario.idle]
            for topic in TOPICS
        }
        script = chunks(platform_of(self.seed, **self.scenario.numbers))
        return Sending(where, script, places, self.scenario.spoil(), Random(self.seed))

    def _write_spec(self) -> None:
        written = YAML(typ="safe").load(SHOP.read_text(encoding="utf-8"))
        self._spec.write_text(json.dumps({**written, **CHANGES, **self.scenario.spec}))

    @property
    def _spec(self) -> Path:
        return self.folder / "spec.yaml"

    @property
    def _out(self) -> Path:
        return self.folder / "out"
