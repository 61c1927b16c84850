"""A job that crashes and does again what was not committed counts as an undisturbed one does."""

from copy import deepcopy
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from pipeline.analysis import counted
from pipeline.kafka.arrivals import Arrivals
from schemas.outputs import STATISTICS
from schemas.spec import Spec
from tests.machine import ListBag, decode, observations, spec_of
from tests.pipeline.messages import Message, message
from tests.pipeline.running import drawn
from tests.pipeline.test_kafka_arrivals import HORIZON, gathered_of, spec, view, watermark
from tests.strategies.crowds import crowd, crowd_parts
from tests.strategies.specs import specs
from tests.transforms.core.counting import sketches_of, sums_of
from transforms.core.archive import CELLS
from transforms.core.counted_firing import of_firing
from transforms.core.shard import EVER, Held, Shard
from transforms.core.statistics import Mark, as_table

Pairs = list[tuple[str, Message]]


class Job:
    """Something that goes on in steps, each of which writes rows; the clock goes on with it."""

    def __init__(self, random: Random) -> None:
        self.random, self.clock = random, 0
        self.rows: list[pa.Table] = []

    def run(self, state: Any, crashes: int) -> pl.DataFrame:
        """All rows that are left when it is done, after some crashes."""
        committed, uncommitted = deepcopy(state), 0
        while crashes or not self.is_done(state):
            self.clock += 1
            fate = self.random.random()
            if crashes and uncommitted and (fate < 0.15 or self.is_done(state)):
                state, uncommitted, crashes = deepcopy(committed), 0, crashes - 1
            elif fate < 0.35 and not self.is_done(state):
                committed, uncommitted = deepcopy(state), 0
            else:
                self.step(state)
                uncommitted += 1
        self.random.shuffle(self.rows)
        return pl.DataFrame(pa.concat_tables([STATISTICS.empty_table(), *self.rows]))

    def is_done(self, state: Any) -> bool:
        """Whether nothing is left to do."""
        raise NotImplementedError

    def step(self, state: Any) -> None:
        """One step, which changes the state."""
        raise NotImplementedError


class Reader(Job):
    """A sole reader of a log, which takes some records at a time."""

    def __init__(self, random: Random, log: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(random)
        self.log, self.arrivals = log, Arrivals(spec(), sole=True)
        monkeypatch.setattr("pipeline.kafka.arrivals.now", lambda: self.clock)

    def is_done(self, state: Any) -> bool:
        return bool(state["at"] == len(self.log))

    def step(self, state: Any) -> None:
        stop = min(state["at"] + self.random.randrange(1, 9), len(self.log))
        gathered = gathered_of(self.log[state["at"] : stop])
        state["at"] = stop
        for tag, batch in self.arrivals.take(gathered, state["watermark"]):
            if tag == "statistics":
                self.rows.append(pa.Table.from_batches([batch]))


class Firings(Job):
    """A shard of a stream, which fires at times of its own."""

    def __init__(self, random: Random, of: Spec, times: list[int]) -> None:
        super().__init__(random)
        self.spec, self.times = of, times

    def is_done(self, state: Any) -> bool:
        return bool(state["shard"].held.final == EVER)

    def step(self, state: Any) -> None:
        shard: Shard = state["shard"]
        later = [t + 500 for t in self.times if t + 500 > shard.held.final]
        upto = self.random.choice(later[:6] or [EVER])
        mark, firing = Mark("shard 0", shard.held.final), shard.fire(state["waiting"], upto)
        while True:
            try:
                next(firing)
            except StopIteration as stop:
                done = stop.value
                break
        state["waiting"] = done.waiting
        self.rows.append(as_table(of_firing(done.tally, self.spec), [mark], self.clock))


def same(found: pl.DataFrame, want: pl.DataFrame) -> int:
    """Whether the rows that count say the same; of an undisturbed job all rows count. Gives how
    many do not."""
    assert counted(want.lazy()).collect().height == want.height
    left = counted(found.lazy()).collect().to_arrow().cast(STATISTICS)
    there = want.to_arrow().cast(STATISTICS)
    sums, expected = sums_of(left), sums_of(there)
    assert sums.keys() == expected.keys()
    assert all(sums[key] == pytest.approx(expected[key]) for key in sums)
    assert sketches_of(left) == sketches_of(there)
    return int(found.height - left.num_rows)


@pytest.mark.parametrize("number", range(30))
def test_what_is_read_again_is_counted_once(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of three partitions, some late, some broken, and tombstones."""
    random, offsets, log = Random(number), [0, 0, 0], Pairs()
    for n in range(60):
        partition = random.randrange(3)
        time = 100 * n - random.choice([0, 0, 0, 50, HORIZON, 3 * HORIZON])
        fate, at = random.random(), offsets[partition]
        each = message(view(time, id=f"{n}"), at=100 * n, partition=partition, offset=at)
        if fate < 0.1:
            each = Message(b"{", 100 * n, partition, offset=at)
        elif fate < 0.25:
            each = Message(None, 100 * n, partition, b"u", at)
        log.append((f"e/{partition}", each))
        offsets[partition] += 1
    found = Reader(random, log, monkeypatch).run(_reading(), crashes=4)
    want = Reader(random, log, monkeypatch).run(_reading(), crashes=0)
    assert same(found, want) > 0
    assert {"late", "tombstones", "rejected"} <= {*want["measure"]}


def _reading() -> dict[str, Any]:
    return {"at": 0, "watermark": watermark(0, 1, 2)}


@pytest.mark.parametrize("number", range(12))
def test_what_is_cut_again_is_counted_once(number: int) -> None:
    written = drawn(specs(), 20)[number]
    sources = {**crowd(written, drawn(crowd_parts(written), 6)), "erasures": []}
    of = spec_of(written)
    rows = observations(of, decode(of, sources))
    times = sorted(rows["time"].to_pylist())
    random = Random(number)
    found = Firings(random, of, times).run(_shard(of, rows), crashes=4)
    want = Firings(random, of, times).run(_shard(of, rows), crashes=0)
    assert same(found, want) > 0


def _shard(of: Spec, rows: pa.Table) -> dict[str, Any]:
    return {
        "shard": Shard(of, Held(), ListBag(), [ListBag() for _ in range(CELLS)]),
        "waiting": rows,
    }
