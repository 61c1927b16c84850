"""One shard of the stateful stage by hand: it is given rows, fired, and its state looked at."""

from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.utils.timestamp import Timestamp

from schemas.spec import Spec
from tests.machine import ListBag, plain
from tests.oracles.shop import T
from tests.outcome import Row
from transforms.coders import whole
from transforms.core.archive import CELLS
from transforms.firing import Firing
from transforms.sessions import CutSessions


@dataclass
class Cell:
    """A state of one value."""

    value: Any = None

    def read(self) -> Any:
        return self.value

    def write(self, value: Any) -> None:
        self.value = value

    def clear(self) -> None:
        self.value = None


@dataclass
class Timer:
    """A timer that remembers what it was set to, ms, each tag by itself."""

    sets: list[int] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    def set(self, at: Timestamp, dynamic_timer_tag: str = "") -> None:
        self.sets.append(at.micros // 1000)
        self.tags.append(dynamic_timer_tag)


@dataclass
class Stage:
    """One shard of the stage with its state."""

    spec: Spec
    interval: int = 500

    def __post_init__(self) -> None:
        self.cut = CutSessions(self.spec, Firing.of(self.spec, self.interval), 1)
        self.cut.setup()
        self.bags = {name: ListBag() for name in ("waiting", "held", "recent")}
        self.cells = {f"archive_{number}": ListBag() for number in range(CELLS)}
        self.final, self.due, self.timer, self.cuts = Cell(), Cell(), Timer(), Timer()

    def taken_over(self, spec: Spec) -> "Stage":
        """The stage of a job of this spec that goes on with the state."""
        other = Stage(spec, self.interval)
        other.bags, other.cells, other.timer = self.bags, self.cells, self.timer
        other.final, other.due = self.final, self.due
        return other

    def take(self, rows: pa.Table) -> list[Any]:
        """What the stage gives of rows that arrive."""
        waiting = self.bags["waiting"]
        state = {"waiting": waiting, "final": self.final, "timer": self.timer}
        return [*self.cut.process((0, whole(rows)), **state)]

    def come_due(self, at: int) -> list[Any]:
        """The watermark has reached a timer, ms: nothing is given yet."""
        self.cut.come_due(Timestamp(micros=at * 1000), 0, due=self.due, cut=self.cuts)
        return []

    def cut_now(self) -> list[Any]:
        """What the stage gives when it fires for what has come due."""
        rest = {**self.bags, **self.cells}
        return [*self.cut.fire(0, final=self.final, due=self.due, timer=self.timer, **rest)]

    def fire(self, at: int) -> list[Any]:
        """What the stage gives when the watermark has reached a timer, ms."""
        return self.come_due(at) + self.cut_now()

    def waits(self) -> list[int]:
        """The times that wait, after T."""
        return sorted(
            time - T for batch in self.bags["waiting"].read() for time in batch["time"].to_pylist()
        )


def rows_of(given: list[Any]) -> list[Row]:
    """The sequences among what a stage gave."""
    return [row for each in given if isinstance(each, pa.RecordBatch) for row in plain(each)]


def tagged(given: list[Any], tag: str) -> list[pa.RecordBatch]:
    """What a stage gave under a tag."""
    return [
        each.value
        for each in given
        if isinstance(each, beam.pvalue.TaggedOutput) and each.tag == tag
    ]
