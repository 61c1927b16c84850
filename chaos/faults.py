"""Kills processes of a running stream, and does then what a supervisor would do."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psutil
from kafka import TopicPartition

from chaos.disk import Disk
from chaos.job import Job
from chaos.sending import Sending
from chaos.training import Trainer
from kafka_client.clients import Connection
from pipeline.broker import Broker, BrokerError
from pipeline.flink.cluster import Cluster
from pipeline.java.ports import answers
from schemas.failures import Failure

PROGRAMS = ("worker", "taskmanager", "jobmanager", "broker", "trainer", "jobserver")
"""All that can be killed."""

RECOVERY_S, LOOK_S, WORKER_S = 240.0, 0.2, 60.0
_WORKER = "sdk_worker_main"


@dataclass
class Stage:
    """Everything that runs, and what has befallen it so far; `say` is told each fault.

    `kept` are records that were deleted, by partition, as they had been."""

    cluster: Cluster
    broker: Broker
    job: Job
    sending: Sending
    trainer: Trainer
    random: Random
    where: Connection
    disk: Disk
    say: Callable[[str], None]
    until: float
    kills: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)
    kept: dict[TopicPartition, list[Any]] = field(default_factory=dict)

    def goes_on(self) -> bool:
        """Whether there is time for more faults. Raises what ended the sending."""
        return self.sending.alive and time.monotonic() < self.until

    def pause(self, least: float, most: float) -> None:
        """Lets the stream run for a time drawn between the two, s."""
        time.sleep(self.random.uniform(least, most))

    def strike(self, *programs: str, away: float = 0.0) -> None:
        """Kills programs together, starts them again after `away` s, and waits for recovery."""
        begun = time.time()
        for program in sorted(programs, key=PROGRAMS.index):  # a worker while it has a manager
            self.kill(program)
        time.sleep(away)
        self.recover(" and ".join(programs), begun)

    def kill(self, program: str) -> None:
        """Kills one of PROGRAMS (kill -9)."""
        self.kills[program] += 1
        match program:
            case "worker":
                self._kill_worker()
            case "broker":
                self.broker.kill()
            case "trainer":
                self.trainer.kill()
            case _:
                self.cluster.kill(program)

    def recover(self, what: str, begun: float) -> None:
        """Starts again what has ended, and waits until a checkpoint that was begun after that is
        complete. Raises Failure where none is for RECOVERY_S."""
        self._mend()
        mended, limit = time.time(), time.monotonic() + RECOVERY_S
        while not (self.job.checkpointed(mended) and answers(self.cluster.ports.job)):
            if time.monotonic() > limit:
                raise Failure(f"no recovery in {RECOVERY_S:.0f} s after {what}")
            time.sleep(LOOK_S)
            self._mend()
        self.recoveries.append(time.time() - begun)
        sent = f"{self.sending.records:,} records sent"
        self.say(f"{what}: recovered in {self.recoveries[-1]:.1f} s; {sent}")

    def _mend(self) -> None:
        if not self.broker.alive:
            self.broker.kill()
            with suppress(BrokerError):  # it is tried again as long as recovery is waited for
                self.broker.start()
        self.cluster.mend()
        if not self.trainer.alive:
            self.trainer.start()

    def _kill_worker(self) -> None:
        limit = time.monotonic() + WORKER_S
        while not (workers := self._workers()):
            if time.monotonic() > limit:
                raise Failure(f"no Python worker is there for {WORKER_S:.0f} s")
            time.sleep(LOOK_S)
        with suppress(psutil.NoSuchProcess):  # it has ended by itself, which is as good
            self.random.choice(workers).kill()

    def _workers(self) -> list[psutil.Process]:
        """The Python workers of the task manager."""
        try:
            manager = psutil.Process(self.cluster.pids["taskmanager"])
            children = manager.children(recursive=True)
            return [child for child in children if _WORKER in " ".join(child.cmdline())]
        except psutil.NoSuchProcess:
            return []
