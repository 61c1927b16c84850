"""The one stateful stage: a shard's observations wait until they are final, and are cut.

State, by shard: the observations that wait; the ledger of its users; the contents of their past
sessions, in a bag of recent ones and a few cells; the time up to which all was final; and the time
that the timer is set to, so that it is set only when that changes.
"""

import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp

from schemas.layout import layout_of
from schemas.observations import observation_schema
from schemas.spec import Spec
from transforms.coders import RecordBatchCoder, whole
from transforms.core.archive import CELLS
from transforms.core.arrays import NEVER, ints
from transforms.core.growth import check_layout, grown, marked
from transforms.core.late import late_rows
from transforms.core.reached import reached, reached_by
from transforms.core.shard import EVER, Fired, Held, Shard
from transforms.core.statistics import as_table, of_firing, of_late
from transforms.firing import Firing
from transforms.measured import tell_firing, tell_state
from transforms.measures import Stopwatch, count_late
from transforms.pace import Pace

WAITING = BagStateSpec("waiting", RecordBatchCoder())
HELD = BagStateSpec("held", RecordBatchCoder())
RECENT = BagStateSpec("recent", RecordBatchCoder())
ARCHIVE = [BagStateSpec(f"archive_{cell}", RecordBatchCoder()) for cell in range(CELLS)]
FINAL = ReadModifyWriteStateSpec("final", VarIntCoder())
DUE = ReadModifyWriteStateSpec("due", VarIntCoder())
TIMER = TimerSpec("due", TimeDomain.WATERMARK)
CUT = TimerSpec("cut", TimeDomain.WATERMARK)

Param = beam.DoFn.StateParam


@beam.typehints.with_input_types(tuple[int, pa.RecordBatch])
@beam.typehints.with_output_types(pa.RecordBatch)
class CutSessions(beam.DoFn):  # type: ignore[misc]
    """Gives the sequences of completed sessions; late, tombstones and statistics by tag."""

    def __init__(self, spec: Spec, firing: Firing, shards: int) -> None:
        self._spec = spec
        self._firing = firing
        self._layout = layout_of(spec, shards)
        self._schema = observation_schema(spec)
        self._columns = self._schema.names

    def setup(self) -> None:
        """Once a worker."""
        self._pace = Pace()

    def process(
        self,
        element: tuple[int, pa.RecordBatch],
        waiting: Any = Param(WAITING),
        final: Any = Param(FINAL),
        due: Any = Param(DUE),
        timer: Any = beam.DoFn.TimerParam(TIMER),
    ) -> Iterator[Any]:
        """Keeps observations until they are final; those that come after that are late (S3)."""
        _, batch = element
        if self._firing.bounded:
            waiting.add(batch.select(self._columns))
            timer.set(GlobalWindow().max_timestamp())
            return
        released = final.read()
        if released is not None:
            late, batch = self._split(batch, released)
            if late.num_rows:
                yield from self._late(late)
        if batch.num_rows:
            waiting.add(marked(batch.select(self._columns), self._layout))
            first = self._firing.first(int(ints(batch["time"]).min()))
            if (set_to := due.read()) is None or first < set_to:
                self._set(timer, due, first)

    @on_timer(TIMER)  # type: ignore[untyped-decorator]
    def arm(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        cut: Any = beam.DoFn.TimerParam(CUT),
    ) -> None:
        """Lets the shard fire when this bundle is done: the timers of a bundle may run before data
        in it that came ahead of the watermark."""
        cut.set(timestamp)

    @on_timer(CUT)  # type: ignore[untyped-decorator]
    def fire(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        number: Any = beam.DoFn.KeyParam,
        waiting: Any = Param(WAITING),
        held: Any = Param(HELD),
        recent: Any = Param(RECENT),
        archive_0: Any = Param(ARCHIVE[0]),
        archive_1: Any = Param(ARCHIVE[1]),
        archive_2: Any = Param(ARCHIVE[2]),
        archive_3: Any = Param(ARCHIVE[3]),
        archive_4: Any = Param(ARCHIVE[4]),
        archive_5: Any = Param(ARCHIVE[5]),
        archive_6: Any = Param(ARCHIVE[6]),
        archive_7: Any = Param(ARCHIVE[7]),
        final: Any = Param(FINAL),
        due: Any = Param(DUE),
        timer: Any = beam.DoFn.TimerParam(TIMER),
    ) -> Iterator[Any]:
        """Cuts what is complete at the time the timer was set to, and lets the rest wait on."""
        cells = [
            archive_0, archive_1, archive_2, archive_3, archive_4, archive_5, archive_6, archive_7
        ]  # fmt: skip
        begun, before = time.monotonic(), self._held(held)
        upto = self._upto(timestamp.micros // 1000, before)
        shard = Shard(self._spec, before, recent, cells)
        with Stopwatch() as watch:
            rows, known = self._rows(waiting)
        waiting.clear()
        fired = yield from watch.items(shard.fire(rows, upto))
        tell_firing(shard, fired, watch.us)
        yield from self._beside(fired)
        if self._firing.bounded:
            return
        tell_state(shard, fired)
        held.clear()
        held.add(marked(shard.held.to_batch(), self._layout))
        final.write(upto)
        if fired.next_due == NEVER:
            due.clear()
            return
        if fired.waiting.num_rows:
            waiting.add(reached(marked(whole(fired.waiting), self._layout), known))
        self._pace.took(number, time.monotonic() - begun)
        now, apart = upto + self._firing.horizon, self._pace.apart
        self._set(timer, due, self._firing.next(fired.next_due, now, fired.median, known, apart))

    def _held(self, held: Any) -> Held:
        """What is held; of a job before this one, too. Raises StateRefused."""
        for batch in () if self._firing.bounded else held.read():
            check_layout(batch, self._layout)
            return Held.from_batch(batch)
        return Held()

    def _rows(self, waiting: Any) -> tuple[pa.Table, int]:
        """The observations that wait, and the watermark that the last of them came with; those of
        a job before this one, too. Raises StateRefused."""
        chunks = list(waiting.read())
        known = reached_by(chunks)
        if not self._firing.bounded:
            chunks = [grown(chunk, self._spec, self._layout) for chunk in chunks]
        return pa.Table.from_batches(chunks, self._schema), known

    def _upto(self, at: int, held: Held) -> int:
        """Up to when all is final at a timer's time. What was released stays so, whatever a runner
        fires again, and though a job goes on with a longer horizon."""
        return EVER if self._firing.bounded else max(self._firing.final_at(at), held.final)

    def _set(self, timer: Any, due: Any, at: int) -> None:
        timer.set(Timestamp(micros=at * 1000))
        due.write(at)

    def _split(self, batch: pa.RecordBatch, released: int) -> tuple[pa.Table, pa.RecordBatch]:
        late = ints(batch["time"]) <= released
        rows = pa.Table.from_batches([batch])
        if not late.any():
            return rows.slice(0, 0), batch
        return rows.filter(pa.array(late)), whole(rows.filter(pa.array(~late)))

    def _late(self, rows: pa.Table) -> Iterator[Any]:
        count_late(rows, self._spec)
        yield beam.pvalue.TaggedOutput("late", whole(late_rows(rows, self._spec)))
        yield beam.pvalue.TaggedOutput("statistics", whole(as_table(of_late(rows, self._spec))))

    def _beside(self, fired: Fired) -> Iterator[Any]:
        """Statistics and tombstones of a firing."""
        tally, tombstones = fired.tally, fired.tombstones
        counts = as_table(of_firing(tally, self._spec))
        if counts.num_rows:
            yield beam.pvalue.TaggedOutput("statistics", whole(counts))
        if tombstones.num_rows:
            yield beam.pvalue.TaggedOutput("tombstones", whole(tombstones))
