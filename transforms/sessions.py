"""The one stateful stage: a shard's observations wait until they are final, and are cut.

State, by shard: the observations that wait; the ledger of its users; the contents of their past
sessions, in a bag of recent ones and a few cells; the time up to which all was final; and the
watermark up to which all is due, until the shard has fired for it.
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
from apache_beam.utils.timestamp import Timestamp

from schemas.layout import layout_of
from schemas.observations import observation_schema
from schemas.spec import Spec
from transforms.coders import RecordBatchCoder, whole
from transforms.core.archive import CELLS
from transforms.core.arrays import NEVER, ints
from transforms.core.counted_input import of_late
from transforms.core.growth import check_layout, grown, marked
from transforms.core.late import late_rows
from transforms.core.reached import reached_by
from transforms.core.shard import Held, Shard
from transforms.core.statistics import Mark, as_table
from transforms.core.waiting import may_complete
from transforms.firing import Firing
from transforms.measured import beside, tell_firing, tell_state
from transforms.measures import Stopwatch, count_late
from transforms.pace import Pace

WAITING = BagStateSpec("waiting", RecordBatchCoder())
HELD = BagStateSpec("held", RecordBatchCoder())
RECENT = BagStateSpec("recent", RecordBatchCoder())
ARCHIVE = [BagStateSpec(f"archive_{cell}", RecordBatchCoder()) for cell in range(CELLS)]
FINAL = ReadModifyWriteStateSpec("final", VarIntCoder())
DUE = ReadModifyWriteStateSpec("due", VarIntCoder())
TIMER = TimerSpec("due", TimeDomain.WATERMARK)
CUT = TimerSpec("fire", TimeDomain.REAL_TIME)

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
        timer: Any = beam.DoFn.TimerParam(TIMER),
    ) -> Iterator[Any]:
        """Keeps observations until they are final; those that come after that are late (S3)."""
        _, batch = element
        released = final.read()
        if released is not None:
            late, batch = self._split(batch, released)
            if late.num_rows:
                yield from self._late(late)
        if batch.num_rows:
            waiting.add(marked(batch.select(self._columns), self._layout))
            dues = may_complete(pa.Table.from_batches([batch]), self._spec)
            for at in self._firing.at(dues, reached_by(batch)).tolist():
                _set(timer, at)

    @on_timer(TIMER)  # type: ignore[untyped-decorator]
    def come_due(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        number: Any = beam.DoFn.KeyParam,
        due: Any = Param(DUE),
        cut: Any = beam.DoFn.TimerParam(CUT),
    ) -> None:
        """Remembers how far all is due, and lets the shard fire for it, in a while if it has just
        done so. Not in this bundle, whose timers may run before data that came ahead of them."""
        at, before = timestamp.micros // 1000, due.read()
        if before is None:
            cut.set(Timestamp.of(self._pace.next(number)))
        due.write(at if before is None else max(at, before))

    @on_timer(CUT)  # type: ignore[untyped-decorator]
    def fire(
        self,
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
        """Cuts what is complete where all is due, and lets the rest wait on."""
        at = due.read()
        if at is None:  # done already
            return
        cells = [
            archive_0, archive_1, archive_2, archive_3, archive_4, archive_5, archive_6, archive_7
        ]  # fmt: skip
        begun = time.monotonic()
        shard = Shard(self._spec, self._held(held), recent, cells)
        upto, mark = self._upto(at, shard.held), Mark(f"shard {number}", shard.held.final)
        with Stopwatch() as watch:
            rows = self._rows(waiting)
        waiting.clear()
        due.clear()
        fired = yield from watch.items(shard.fire(rows, upto))
        tell_firing(self._spec, fired.tally, watch.us)
        yield from beside(fired.tally, fired.tombstones, self._spec, mark)
        tell_state(shard, fired)
        held.clear()
        held.add(marked(shard.held.to_batch(), self._layout))
        final.write(upto)
        if fired.waiting.num_rows:
            waiting.add(marked(whole(fired.waiting), self._layout))
        if fired.next_due != NEVER:
            _set(timer, self._firing.after(at, fired.next_due))
        cut_rows = rows.num_rows - fired.waiting.num_rows
        self._pace.fired(number, cut_rows, time.monotonic() - begun)

    def _held(self, held: Any) -> Held:
        """What is held; of a job before this one, too. Raises StateRefused."""
        for batch in held.read():
            check_layout(batch, self._layout)
            return Held.from_batch(batch)
        return Held()

    def _rows(self, waiting: Any) -> pa.Table:
        """The observations that wait; those of a job before this one, too. Raises StateRefused."""
        chunks = [grown(chunk, self._spec, self._layout) for chunk in waiting.read()]
        return pa.Table.from_batches(chunks, self._schema)

    def _upto(self, at: int, held: Held) -> int:
        """Up to when all is final at a watermark. What was released stays so, though a job goes on
        with a longer horizon."""
        return max(self._firing.final_at(at), held.final)

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


def _set(timer: Any, at: int) -> None:
    """One more timer for a watermark, ms: a shard has one for each that it is to fire at."""
    timer.set(Timestamp(micros=at * 1000), dynamic_timer_tag=str(at))
