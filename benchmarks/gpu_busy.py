"""How busy a GPU is while `phia train`'s trainer reads sequences from Parquet and learns them.

    python -m benchmarks.gpu_busy SPEC FOLDER [--config FILE] [--steps 60] [--profiled 20]
        [--warm 20]

FOLDER is what `phia run` wrote; it is read as `phia train` reads it, and again where it ends before
--steps are made. After --warm steps that do not count: tokens a second over --steps, and what share
of the time the step waits for the reader; then, over --profiled more steps, by the profiler: how
long the GPU computes or copies, of a step's time without the profiler, which slows down the host,
and with it; what of it the longest kernels take; and how long the host waits for the GPU. Without
--config: the settings of benchmarks/on_gpu.py in bfloat16.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from torch.profiler import ProfilerActivity, profile

from benchmarks.measure import table
from benchmarks.on_gpu import asked
from model.batch import SequenceBatch
from model.checkpoint import Checkpoints
from model.exchange import Exchange
from model.reader.files import SequenceFiles
from model.reader.state import ReaderState
from model.reporting.report import Report
from model.sampling.choosing import Choosing
from model.sampling.sampler import Sampler
from model.saving import Saved
from model.trainer import Trainer
from model.training import Run
from schemas.spec import Spec

STEPS = {"steps": 60, "profiled": 20, "warm": 20}
KERNELS = 12
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


@dataclass(frozen=True)
class Again:
    """The sequences of a folder, in batches of so many tokens, again and again."""

    folder: Path
    spec: Spec
    tokens: int

    def __call__(
        self, lane: int, choosing: Choosing, start: ReaderState
    ) -> Iterator[SequenceBatch | None]:
        """As a run wants them."""
        while True:
            yield from SequenceFiles(self.folder, self.spec, tokens=self.tokens, choose=choosing)


@dataclass
class Clock:
    """When each step began, how long it then waited for the reader, and how many tokens had been
    learned by then; `before` has what to do before the step of a number."""

    before: dict[int, Callable[[], None]]
    begun: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def timed(self, following: Any) -> Any:
        """What asks for the next batch, with this clock."""

        def timed(run: Run, coming: Any) -> Any:
            if act := self.before.get(len(self.begun)):
                act()
            self.tokens.append(run.trainer.tokens)
            self.begun.append(time.perf_counter())
            found = following(run, coming)
            self.waited.append(time.perf_counter() - self.begun[-1])
            return found

        return timed

    def steps(self, first: int, count: int) -> tuple[float, int, float]:
        """The seconds of so many steps, their tokens, and the seconds waited for the reader."""
        end = first + count
        tokens = self.tokens[end] - self.tokens[first]
        return self.begun[end] - self.begun[first], tokens, sum(self.waited[first:end])


def trained(batches: Again, trainer: Trainer, steps: int, clock: Clock) -> None:
    """Makes so many steps by a clock, which also sees that there might be one more."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), 1, trainer.exchange)
        saved = Saved(checkpoints, 1, {0: Choosing(Sampler.of(batches.spec, None))})
        with patch.object(Run, "_next", clock.timed(Run._next)):
            Run(trainer, batches, saved, Report(), most_steps=steps, apart=True).run()


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


def shown(step: float, seconds: float, seen: Profile, steps: int) -> str:
    """Two tables: shares of a step's time, which is given in seconds without the profiler, for
    which there are the seconds of all the steps that it saw; and the longest kernels."""
    busy, waiting = seen.busy / 1e9 / steps, seen.waiting / 1e9 / steps
    shares = [
        ["a step", f"{1000 * step:.1f}", ""],
        ["GPU busy", f"{1000 * busy:.1f}", f"**{busy / step:.1%}**"],
        ["a step, with the profiler", f"{1000 * seconds / steps:.1f}", ""],
        ["GPU busy in that", f"{1000 * busy:.1f}", f"{busy * steps / seconds:.1%}"],
        [
            "host waits for the GPU in that",
            f"{1000 * waiting:.1f}",
            f"{waiting * steps / seconds:.1%}",
        ],
    ]
    kernels = [
        [f"`{name[:70]}`", f"{spent / 1e6 / steps:.2f}", f"{spent / seen.busy:.1%}"]
        for name, spent in seen.kernels.most_common(KERNELS)
    ]
    first = table(["", "ms", "of it"], shares)
    second = table(["kernel", "ms a step", "of what is busy"], kernels)
    return f"{first}\n\n{seen.launches / steps:,.0f} kernels and copies a step\n\n{second}"


def main() -> int:
    """Measures and prints the tables."""
    told = asked(__doc__, "bfloat16", **{name: _number(of) for name, of in STEPS.items()})
    trainer = Trainer(told.spec, told.config, Exchange.alone(), "cuda")
    warm, steps, more = told.more.warm, told.more.steps, told.more.profiled
    seen = profile(activities=[ProfilerActivity.CUDA])
    clock = Clock({warm + steps: seen.start, warm + steps + more: seen.stop})
    batches = Again(told.folder, told.spec, told.config.batch_tokens)
    trained(batches, trainer, warm + steps + more, clock)
    seconds, tokens, waited = clock.steps(warm, steps)
    print(f"{steps} steps of {tokens / steps:,.0f} tokens, {seconds:.1f} s:")
    print(f"{tokens / seconds:,.0f} tokens/s, waiting for the reader {waited / seconds:.1%}")
    under, *_ = clock.steps(warm + steps, more)
    print(f"\n{shown(seconds / steps, under, Profile.of(seen.profiler), more)}")
    return 0


def _number(default: int) -> dict[str, Any]:
    return {"type": int, "default": default}


if __name__ == "__main__":
    sys.exit(main())
