"""How busy a GPU is while `phia train`'s trainer reads sequences from Parquet and learns them.

    python -m benchmarks.gpu_busy SPEC FOLDER [--config FILE] [--steps 60] [--profiled 20]

FOLDER is what `phia run` wrote; it is read from the beginning as `phia train` reads it, and again
where it ends before --steps are made. After five steps that do not count: tokens a second over
--steps, and what share of the time the step waits for the reader; then, over --profiled more steps,
by the profiler: the share of the time in which the GPU computes or copies, what of it the longest
kernels take, and how long the host waits for the GPU. The profiler slows down the host, so the GPU
is a little busier than it says. Without --config: as benchmarks/training_speed.py, bfloat16.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import triton
from torch.profiler import ProfilerActivity, profile

from benchmarks.measure import table
from benchmarks.training_speed import LARGE, WARM, in_precision
from model.batch import SequenceBatch
from model.checkpoint import Checkpoints
from model.config import TrainConfig, load_config
from model.exchange import Exchange
from model.reader.files import SequenceFiles
from model.reader.state import ReaderState
from model.reporting.report import Report
from model.sampling.choosing import Choosing
from model.sampling.sampler import Sampler
from model.saving import Saved
from model.trainer import Trainer
from model.training import Run
from schemas.load import load_spec
from schemas.spec import Spec

KERNELS = 12
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


@dataclass
class Training:
    """A trainer and where it reads; `waited_s`: how long steps waited for the reader."""

    spec: Spec
    folder: Path
    trainer: Trainer
    waited_s: float = field(default=0.0, init=False)

    def steps(self, count: int) -> float:
        """Makes so many more steps, in as many runs as it takes; returns the seconds."""
        wanted = self.trainer.step + count
        torch.cuda.synchronize()
        begun, self.waited_s = time.perf_counter(), 0.0
        with patch.object(Run, "_next", self._timed(Run._next)):
            while self.trainer.step < wanted:
                self._run(wanted)
        torch.cuda.synchronize()
        return time.perf_counter() - begun

    def _run(self, wanted: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = Checkpoints(Path(folder), 1, self.trainer.exchange)
            choosing = {0: Choosing(Sampler.of(self.spec, None), None, None)}
            saved = Saved(checkpoints, 1, choosing)
            Run(self.trainer, self._batches, saved, Report(), most_steps=wanted).run()

    def _batches(
        self, lane: int, choosing: Choosing, start: ReaderState
    ) -> Iterator[SequenceBatch | None]:
        tokens = self.trainer.config.batch_tokens
        yield from SequenceFiles(
            self.folder, self.spec, tokens=tokens, choose=choosing, start=start
        )

    def _timed(self, following: Any) -> Any:
        def timed(run: Run, coming: Any) -> Any:
            begun = time.perf_counter()
            found = following(run, coming)
            self.waited_s += time.perf_counter() - begun
            return found

        return timed


@dataclass(frozen=True)
class Profile:
    """Nanoseconds in which a GPU had something to do, those of its kernels by name, and those in
    which the host waited for it; and how many kernels there were."""

    busy: int
    kernels: Counter[str]
    waiting: int
    launches: int

    @classmethod
    def of(cls, profiler: Any) -> "Profile":
        """Of what PyTorch's profiler has recorded; what overlaps counts once."""
        kernels: Counter[str] = Counter()
        spans, waiting = [], 0
        for event in profiler.kineto_results.events():
            duration = event.duration_ns()
            if event.device_type().name == "CUDA":
                kernels[event.name()] += duration
                spans.append((event.start_ns(), event.start_ns() + duration))
            elif event.name() in WAITS:
                waiting += duration
        return cls(_covered(spans), kernels, waiting, len(spans))


def _covered(spans: list[tuple[int, int]]) -> int:
    """The length of the union of spans."""
    covered, until = 0, 0
    for begin, end in sorted(spans):
        covered += max(end - max(begin, until), 0)
        until = max(until, end)
    return covered


def profiled(training: Training, steps: int) -> tuple[float, Profile]:
    """Seconds of so many steps, and what the profiler saw of them."""
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        seconds = training.steps(steps)
    return seconds, Profile.of(seen.profiler)


def shown(seconds: float, seen: Profile, steps: int) -> str:
    """Two tables: shares of the time of a step; and its longest kernels."""
    whole = {
        "GPU busy": seen.busy / 1e9,
        "host waits for the GPU": seen.waiting / 1e9,
    }
    shares = [
        [name, f"{1000 * part / steps:.1f}", f"**{part / seconds:.1%}**"]
        for name, part in whole.items()
    ]
    shares.append(["a step, with the profiler", f"{1000 * seconds / steps:.1f}", ""])
    kernels = [
        [f"`{name[:70]}`", f"{spent / 1e6 / steps:.2f}", f"{spent / seen.busy:.1%}"]
        for name, spent in seen.kernels.most_common(KERNELS)
    ]
    first = table(["", "ms a step", "of the time"], shares)
    second = table(["kernel", "ms a step", "of what is busy"], kernels)
    return f"{first}\n\n{seen.launches / steps:,.0f} kernels and copies a step\n\n{second}"


def main() -> int:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("spec", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--profiled", type=int, default=20)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("no GPU: this measures CUDA kernels")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "triton", triton.__version__)
    config = in_precision(TrainConfig.model_validate(LARGE), "bfloat16")
    config = load_config(given.config) if given.config else config
    spec = load_spec(given.spec)
    training = Training(spec, given.folder, Trainer(spec, config, Exchange.alone(), "cuda"))
    training.steps(WARM)
    before = training.trainer.tokens
    seconds = training.steps(given.steps)
    tokens = training.trainer.tokens - before
    print(f"{given.steps} steps of {tokens / given.steps:,.0f} tokens, {seconds:.1f} s:")
    waited = training.waited_s / seconds
    print(f"{tokens / seconds:,.0f} tokens/s, waiting for the reader {waited:.1%}")
    seconds, seen = profiled(training, given.profiled)
    print(f"\n{shown(seconds, seen, given.profiled)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
