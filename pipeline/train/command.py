"""A run of `phia train`, put together: processes, checkpoint, reader, sinks, and then the steps."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console

from model.checkpoint import Checkpoint, Checkpoints
from model.config import TrainConfig
from model.exchange import Exchange
from model.rehearsal import Rehearsal
from model.reporting.figures import HELP, shown
from model.reporting.json_lines import JsonLines
from model.reporting.progress import ProgressLine
from model.reporting.prometheus import Prometheus
from model.reporting.report import Report, Sink
from model.reporting.tensorboard import TensorBoard
from model.sampling.choosing import Choosing
from model.sampling.sampler import Sampler
from model.sampling.steering import Steering
from model.sampling.stochastic_length import StochasticLength
from model.saving import Saved, check
from model.trainer import Trainer
from model.training import Run, Stop
from pipeline.device import device_of
from pipeline.java.locks import take_lock
from pipeline.train.options import Lanes, Training
from schemas.failures import UsageError
from schemas.spec import Spec

PROCESSES_WAIT = timedelta(minutes=10)
"""How long a process waits for the others of a run."""


def train(what: Training, console: Console) -> int:
    """Trains until the input ends or the run is told to stop. Returns the steps made in all.

    Raises UsageError, and Failure where something outside goes wrong.
    """
    with processes() as exchange:
        return train_as(what, exchange, console)


def train_as(what: Training, exchange: Exchange, console: Console) -> int:
    """As `train`, as one of the processes of an exchange."""
    with _claimed(what.checkpoint, exchange):
        checkpoints = Checkpoints(what.checkpoint, what.config.checkpoint.keep, exchange)
        found = checkpoints.newest()
        lanes = lanes_of(what.config, found, exchange)
        mine = range(exchange.rank, lanes, exchange.world)
        choosing = {lane: choosing_of(what.spec, what.config, lanes) for lane in mine}
        rehearsal = Rehearsal.of(what.config, lanes, mine)
        saved = Saved(checkpoints, lanes, choosing, rehearsal)
        trainer = Trainer(what.spec, what.config, exchange, device_of(what.device, exchange.rank))
        if found is not None:
            check(found, what.spec, what.config)
            saved.load(found, trainer)
            if rehearsal.memories:
                rehearsal.erase(what.input.erasures())
            _say(console, exchange, f"goes on from step {found.step:,} of {found.path}")
        batches = Lanes.of(what.input, what.spec, what.config, lanes)
        apart = torch.device(trainer.device).type == "cuda"  # a CPU has no time to spare for it
        sinks = _sinks(what, trainer.step, console) if exchange.rank == 0 else []
        with Report(sinks, trainer.tokens) as report, _told_to_stop() as stop:
            return Run(trainer, batches, saved, report, stop, what.most_steps, apart).run()


@contextmanager
def processes() -> Iterator[Exchange]:
    """The processes that torchrun has started, or this one alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Exchange.alone()
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=PROCESSES_WAIT)
    try:
        yield Exchange.of_group()
    finally:
        dist.destroy_process_group()


def lanes_of(config: TrainConfig, found: Checkpoint | None, exchange: Exchange) -> int:
    """In how many parts the input is read. Raises UsageError where that does not fit."""
    before = None if found is None else int(found.facts["lanes"])
    lanes = before or config.lanes or exchange.world
    if config.lanes not in (None, lanes):
        raise UsageError(f"lanes={config.lanes}: the checkpoint's run has {before}; leave it out")
    if lanes < exchange.world:
        raise UsageError(
            f"{exchange.world} processes share {lanes} lanes: start at most {lanes}, or begin a "
            "checkpoint with more lanes in its settings"
        )
    return lanes


def choosing_of(spec: Spec, config: TrainConfig, lanes: int) -> Choosing:
    """What a lane takes of its sequences."""
    sampler, steered = Sampler.of(spec, config.sampling.tokens), config.sampling.tokens_a_second
    length = None
    if config.length is not None:
        longest, seed = spec.history.tokens, config.seed
        alpha, choice = config.length.alpha, config.length.choice
        length = StochasticLength.of(spec, longest, alpha, choice, seed)
    return Choosing(sampler, length, None if steered is None else Steering(steered / lanes))


def _sinks(what: Training, step: int, console: Console) -> list[Sink]:
    sinks: list[Sink] = [
        JsonLines(what.checkpoint / "metrics.jsonl", after=step),
        TensorBoard(what.checkpoint / "tensorboard", after=step),
        ProgressLine(console, shown(what.spec.actions)),
    ]
    if what.metrics_file is not None or what.metrics_port is not None:
        sinks.append(Prometheus(HELP, what.metrics_file, what.metrics_port))
    return sinks


@contextmanager
def _claimed(folder: Path, exchange: Exchange) -> Iterator[None]:
    """Lets one run at a time use a folder of checkpoints."""
    if exchange.rank != 0:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = take_lock(folder / ".lock", 0.0)
    except OSError as error:
        raise UsageError(f"--checkpoint={folder}: {error.strerror or error}") from None
    if lock is None:
        raise UsageError(f"--checkpoint={folder}: another run trains there")
    with lock:
        yield


@contextmanager
def _told_to_stop() -> Iterator[Stop]:
    """A first SIGINT or SIGTERM ends the run after its step, with a checkpoint."""
    stop = Stop()

    def wanted(number: int, frame: Any) -> None:
        stop.wanted = True
        signal.signal(number, before[number])

    before: Mapping[int, Any] = {
        number: signal.signal(number, wanted) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(console: Console, exchange: Exchange, line: str) -> None:
    if exchange.rank == 0:
        console.print(line, markup=False, highlight=False)
