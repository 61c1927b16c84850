"""One shard without a runner, its state kept as bytes between firings, as a runner keeps it."""

import json
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from benchmarks.workloads import GAP, HORIZON, Workload, spec_of, tables
from schemas.fetched import Columns, Origin
from schemas.load import parse_spec
from schemas.observations import observation_schema
from schemas.spec import Spec
from transforms.coders import RecordBatchCoder
from transforms.core.archive import CELLS
from transforms.core.cut import Tally
from transforms.core.decode.decoded import decoded
from transforms.core.decode.plan import Plan
from transforms.core.shard import Fired, Held, Shard

AFTER = GAP + HORIZON
"""How long after its last engagement a session is complete, ms."""

_CODER = RecordBatchCoder()


class ByteBag:
    """A bag of chunks that keeps nothing but bytes."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def read(self) -> Iterator[pa.RecordBatch]:
        """All chunks."""
        return map(_CODER.decode, self.chunks)

    def add(self, value: pa.RecordBatch) -> None:
        """One more chunk."""
        self.chunks.append(_CODER.encode(value))

    def clear(self) -> None:
        """No chunks."""
        self.chunks.clear()

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(map(len, self.chunks))


@dataclass(frozen=True, slots=True)
class Firing:
    """What one firing took and gave."""

    seconds: float
    sessions: int
    sequences: int
    tokens: int
    tally: Tally


@dataclass
class OneShard:
    """A shard that is fed and fired by hand."""

    spec: Spec
    waiting: ByteBag = field(default_factory=ByteBag)
    held: ByteBag = field(default_factory=ByteBag)
    recent: ByteBag = field(default_factory=ByteBag)
    cells: list[ByteBag] = field(default_factory=lambda: [ByteBag() for _ in range(CELLS)])

    def fire(self, rows: pa.Table, final: int) -> Firing:
        """Feeds some observations and fires; all that a runner's firing does is in the time."""
        for batch in rows.combine_chunks().to_batches():
            self.waiting.add(batch)
        begun = time.perf_counter()
        states = list(self.held.read())
        shard = Shard(
            self.spec,
            Held.from_batch(states[0]) if states else Held(),
            self.recent,
            list(self.cells),
        )
        waiting = pa.Table.from_batches(self.waiting.read(), observation_schema(self.spec))
        sequences, tokens, fired = _consumed(shard.fire(waiting, final))
        self.waiting.clear()
        for batch in fired.waiting.combine_chunks().to_batches():
            self.waiting.add(batch)
        self.held.clear()
        self.held.add(shard.held.to_batch())
        sessions = len(fired.tally.completed.end)
        return Firing(time.perf_counter() - begun, sessions, sequences, tokens, fired.tally)

    @property
    def history_bytes(self) -> int:
        """Bytes of the histories: their contents, and what is known of their users."""
        return self.held.size + self.recent.size + sum(cell.size for cell in self.cells)


def _consumed(firing: Generator[pa.RecordBatch, None, Fired]) -> tuple[int, int, Fired]:
    sequences = tokens = 0
    while True:
        try:
            batch = next(firing)
        except StopIteration as end:
            return sequences, tokens, end.value
        sequences += batch.num_rows
        tokens += len(batch["token_id"].flatten())


def spec_with(history: int, sampling: int | None) -> Spec:
    """The workloads' spec with this N and this budget of tokens."""
    return parse_spec(json.dumps(spec_of("arrow", history=history, sampling=sampling)))


def observed(workload: Workload, spec: Spec) -> pa.Table:
    """A workload as observations, by time."""
    parts = []
    for name, table in tables(workload).items():
        origin = Origin(file=name, line=np.arange(1, table.num_rows + 1))
        rows = decoded(Columns(name, table, origin), Plan(spec, name)).rows
        parts.append(rows.select(observation_schema(spec).names))
    return pa.concat_tables(parts).sort_by("time").combine_chunks()


def filled(spec: Spec, contents: int, users: int, history: int, firings: int = 8) -> OneShard:
    """A shard whose users have so many contents of history each, come by several firings.

    Nothing of it is emitted: it is thinned to almost nothing.
    """
    shard = OneShard(spec_with(spec.history.contents, sampling=1))
    rows = observed(Workload(contents, users, history, history), shard.spec)
    time_of = np.asarray(rows["time"])
    ends = np.linspace(time_of[0], time_of[-1] + AFTER, firings + 1)[1:].astype(np.int64)
    places = np.searchsorted(time_of, ends, side="right")
    for start, stop, end in zip([0, *places], places, ends.tolist(), strict=False):
        shard.fire(rows.slice(start, stop - start), end)
    shard.spec = spec
    return shard


def new_sessions(spec: Spec, contents: int, users: int, number: int) -> tuple[pa.Table, int]:
    """One session of each of the first users, after those of `filled` and of smaller numbers; and
    the time up to which all must be final for them to be complete."""
    workload = Workload(contents, users, contents, contents, seed=100 + number)
    rows = observed(workload, spec)
    late = (1000 + 2 * number) * 86_400_000 * 5
    time_of = np.asarray(rows["time"]) + late
    place = rows.schema.get_field_index("time")
    rows = rows.set_column(place, rows.schema.field(place), pa.array(time_of))
    return rows, int(time_of.max()) + AFTER
