"""A runner of one shard that keeps what the Beam model promises, and nothing beyond it.

Chunks that were read lie about and are processed in any order; a timer fires once the watermark has
passed it, but whenever the runner likes, and before the data of its own bundle, while one that was
set for a time of the clock fires at any time after that bundle; what failed is done again from the
state before. With `unruly` it breaks promises, too: the watermark runs ahead of
chunks, and timers fire again.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow

from tests.transforms.stage import Stage

EVER = GlobalWindow().max_timestamp().micros // 1000
_BEGINNING = -(10**15)


@dataclass
class Runner:
    """The stage of one shard, with what lies about: chunks, each with the time, ms, that it holds
    the watermark at; what all were given; and the times that timers fired at."""

    stage: Stage
    random: Random
    unruly: bool = False
    read: int = _BEGINNING
    flying: list[tuple[int, pa.Table]] = field(default_factory=list)
    timers: list[int] = field(default_factory=list)
    cut: bool = False
    given: list[Any] = field(default_factory=list)
    fired: list[int] = field(default_factory=list)

    @property
    def watermark(self) -> int:
        """The stage's watermark: what the reader reported, held by the chunks that fly."""
        if self.unruly:
            return self.read
        return min([self.read, *(hold for hold, _ in self.flying)])

    def take(self, chunk: pa.Table, watermark: int) -> None:
        """The reader gives a chunk, and reports a watermark after it."""
        if chunk.num_rows:
            self.flying.append((max(int(np.asarray(chunk["time"]).min()) - 1, self.read), chunk))
        self.read = max(self.read, watermark)

    def some(self, steps: int) -> None:
        """So many things happen, of those that may."""
        for _ in range(steps):
            what = [self._process] * bool(self.flying) + [self._fire] * self._is_due()
            what += [self._come_due] * self._is_up()
            what += [self._fire_again] * bool(self.unruly and self.fired)
            if what:
                self.random.choice(what)()

    def end(self) -> None:
        """All is processed, and the watermark goes to the end of time."""
        self.read = EVER
        while self.flying or self._is_up() or self._is_due():
            self.some(1)

    def _is_up(self) -> bool:
        """Whether the first timer may run: chunks that fly may be of the same bundle."""
        return bool(self.timers) and min(self.timers) <= self.read

    def _is_due(self) -> bool:
        """Whether the second may run: what it needs was in an earlier bundle."""
        return self.cut and max(self.fired) <= self.watermark

    def _process(self) -> None:
        _, chunk = self.flying.pop(self.random.randrange(len(self.flying)))
        self._bundle(lambda stage: stage.take(chunk))

    def _come_due(self) -> None:
        at = min(self.timers)
        self.timers.remove(at)
        self.fired.append(at)
        self._bundle(lambda stage: stage.come_due(at))

    def _fire(self) -> None:
        self.cut = False
        self._bundle(lambda stage: stage.cut_now())

    def _fire_again(self) -> None:
        at = self.random.choice(self.fired)
        self._bundle(lambda stage: stage.fire(at))

    def _bundle(self, work: Any) -> None:
        """Does it, perhaps first in vain: the state before is all that is left of that."""
        if self.random.random() < 0.2:
            work(deepcopy(self.stage))
        due, cuts = len(self.stage.timer.sets), len(self.stage.cuts.sets)
        self.given += work(self.stage)
        self.timers = sorted({*self.timers, *self.stage.timer.sets[due:]})
        self.cut = self.cut or len(self.stage.cuts.sets) > cuts
