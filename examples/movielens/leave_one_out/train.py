"""Trains variants on histories, many at once, and judges them.

    python -m examples.movielens.leave_one_out.train FILE --out FOLDER VARIANT:SEED ...

Validation, the default, holds back the last two contents and ranks the first of them as it goes.
With --test the last alone is held back, and it is looked at once, when a run is at its end. Runs
that stop, by themselves after --within seconds or not, go on where they were when they are started
again. On a GPU each run has a stream of its own, so that small kernels of several work together.
"""

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from examples.movielens.leave_one_out.histories import Histories, load
from examples.movielens.leave_one_out.judging import judged
from examples.movielens.leave_one_out.settings import VARIANTS, Settings
from examples.movielens.leave_one_out.training import Training

TEST, VALIDATION = 1, 2
STATE, LINES, RANKS = "state.safetensors", "lines.jsonl", "ranks.safetensors"
EVERY = 20
"""Epochs from one validation to the next, at which the state is saved too."""


class Run:
    """One variant and seed, in a folder: lines of figures, at the end ranks; until then a state."""

    def __init__(
        self,
        histories: Histories,
        settings: Settings,
        seed: int,
        folder: Path,
        *,
        test: bool,
        device: torch.device,
        every: int = EVERY,
    ) -> None:
        self.given = histories, settings, TEST if test else VALIDATION, seed, device
        self.settings, self.folder, self.test, self.every = settings, folder, test, every
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def context(self) -> AbstractContextManager[object]:
        """What its steps are to be taken in."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

    def steps(self, until: float = float("inf")) -> Iterator[None]:
        """All steps, or those before a time of the monotonic clock, up to the end of an epoch."""
        if (self.folder / RANKS).exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        training = Training(*self.given)
        if (self.folder / STATE).exists():
            training.resume(self.folder / STATE)
        while training.epoch < self.settings.epochs:
            begun = time.monotonic()
            yield from training.steps()
            late = time.monotonic() > until
            self._report(training, time.monotonic() - begun, late)
            if late and training.epoch < self.settings.epochs:
                return
        self._finish(training)

    def _report(self, training: Training, seconds: float, late: bool) -> None:
        line = {"epoch": training.epoch, "loss": training.mean_loss, "seconds": seconds}
        if late or training.epoch % self.every == 0:
            line |= {} if self.test else judged(training).figures()
            training.save(self.folder / STATE)
        self._write(line)

    def _finish(self, training: Training) -> None:
        found = judged(training)
        self._write({"end": True, "epochs": training.epoch} | found.figures())
        (self.folder / "settings.json").write_text(json.dumps(asdict(self.settings)))
        save_file({"rank_U": found.rank_U.to(torch.int16)}, self.folder / RANKS)
        (self.folder / STATE).unlink(missing_ok=True)

    def _write(self, line: dict[str, float]) -> None:
        with (self.folder / LINES).open("a") as file:
            file.write(json.dumps(line) + "\n")


def together(runs: list[Run], until: float = float("inf"), most: int = 100) -> None:
    """A step of each run in turn, until all are at their end or the time is up. At most so many
    are under way: the next begins when one ends."""
    waiting = deque((run, run.steps(until)) for run in runs)
    going: list[tuple[Run, Iterator[None]]] = []
    while going or waiting:
        while waiting and len(going) < most:
            going.append(waiting.popleft())
        still = []
        for run, steps in going:
            with run.context():
                if next(steps, "end") != "end":
                    still.append((run, steps))
        going = still


def main() -> int:
    """The command. 0 where all runs are at their end, 1 where some are to be started again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("runs", nargs="+", metavar="VARIANT:SEED", help=", ".join(VARIANTS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--every", type=int, default=EVERY, help="epochs from state to state")
    parser.add_argument("--within", type=float, default=float("inf"), help="seconds")
    parser.add_argument("--most", type=int, default=12, help="runs under way at one time")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args()
    until = time.monotonic() + asked.within
    torch.set_float32_matmul_precision("high")
    histories, device, runs = load(asked.file), torch.device(asked.device), []
    for name in asked.runs:
        variant, _, seed = name.partition(":")
        if variant not in VARIANTS or not seed.isdecimal():
            parser.error(f"{name}: not VARIANT:SEED, with a variant of {', '.join(VARIANTS)}")
        settings = VARIANTS[variant]
        if asked.epochs is not None:
            settings = replace(settings, epochs=asked.epochs)
        folder = asked.out / f"{variant}-{seed}"
        given = histories, settings, int(seed), folder
        runs.append(Run(*given, test=asked.test, device=device, every=asked.every))
    together(runs, until, asked.most)
    return 0 if all((run.folder / RANKS).exists() for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
