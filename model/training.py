"""A run of training: lanes of sequences in, steps, reports and checkpoints out.

One pass over the stream. After each step the state of reading is advanced by what the step has
used, so that a checkpoint has the model and the place in the stream of one moment.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial

import torch

from model.batch import SequenceBatch
from model.evaluation.reading import reading_figures
from model.reader.apart import Batches, read_apart
from model.reader.prefetch import prefetched
from model.reporting.report import Report
from model.saving import Saved
from model.trainer import Trainer

AHEAD = 2
"""Batches of a lane that are made before they are needed."""


@dataclass
class Stop:
    """A wish to stop, which a signal or another thread may set."""

    wanted: bool = False


@dataclass
class Run:
    """What a run works with. `most_steps`: after so many it ends, whatever there is left. `apart`:
    each lane is read in a process of its own, for which `batches` is pickled."""

    trainer: Trainer
    batches: Batches
    saved: Saved
    report: Report
    stop: Stop = field(default_factory=Stop)
    most_steps: int | None = None
    apart: bool = False
    _reported: int = -1

    def run(self) -> int:
        """Trains until the input ends, a stop is wanted, or enough steps were made; then makes a
        last checkpoint. Returns the steps made in all."""
        with ExitStack() as stack:
            coming = {lane: self._begun(lane, stack) for lane in self.saved.lanes}
            while self._goes_on(coming):
                pass
        self._report()
        self.saved.save(self.trainer)
        return self.trainer.step

    def _begun(self, lane: int, stack: ExitStack) -> Iterator[SequenceBatch | None]:
        choosing, start = self.saved.choosing[lane], self.saved.reading
        read = partial(read_apart, self.batches) if self.apart else self.batches
        batches = read(lane, choosing, start)
        return stack.enter_context(closing(prefetched(batches, AHEAD)))

    def _goes_on(self, coming: dict[int, Iterator[SequenceBatch | None]]) -> bool:
        """One step, if any process has sequences. Says whether there may be another."""
        batches = self._next(coming)
        enough = self.most_steps is not None and self.trainer.step >= self.most_steps
        flags = [bool(batches), bool(coming), self.stop.wanted or enough]
        some, more, stop = self.trainer.exchange.sum_(torch.tensor(flags).long()).tolist()
        if stop:
            return False
        if some:
            self._step(batches)
        return bool(some or more)

    def _next(self, coming: dict[int, Iterator[SequenceBatch | None]]) -> dict[int, SequenceBatch]:
        """The next batch of each lane that has one; lanes that have ended are taken out."""
        found = {}
        for lane in sorted(coming):
            try:
                batch = next(coming[lane])
            except StopIteration:
                del coming[lane]
                continue
            if batch is not None:
                found[lane] = batch
        return found

    def _step(self, batches: dict[int, SequenceBatch]) -> None:
        trainer, settings = self.trainer, self.trainer.config
        trainer.learn([*batches.values()], self.saved.rehearsal.again(batches, trainer.step))
        for batch in batches.values():
            self.saved.reading.advance(batch.progress)
        if trainer.step % settings.evaluation.window_steps == 0:
            self._report()
        if trainer.step % settings.checkpoint.every_steps == 0:
            self.saved.save(trainer)

    def _report(self) -> None:
        if self._reported == self.trainer.step:
            return
        self._reported = self.trainer.step
        figures = {**self.trainer.report(), **self._reading()}
        self.report.step(figures, step=self.trainer.step, tokens=self.trainer.tokens)

    def _reading(self) -> Mapping[str, float]:
        return reading_figures(self.saved.reading, self.saved.choosing, self.trainer.exchange)
