"""The rival an event at a time: the same rules with Beam state and timers by user, in process.

Each event goes into a bag of its user and moves the user's timer to where its session may be
complete; the timer's firing orders, attributes, compresses, cuts complete sessions, extends the
user's history and gives rows, which Beam writes to Parquet. See `benchmarks.rivals.rules` for the
rules that it leaves out; it writes the sequences alone.

    python -m benchmarks.rivals.per_event SPEC --input IN --output OUT
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.utils.timestamp import Timestamp

from benchmarks.rivals.command import rival
from benchmarks.rivals.events import Mapper, records
from benchmarks.rivals.rules import Cutter, Event, History
from schemas.sequences import sequence_schema
from schemas.spec import Spec

Row = dict[str, Any]

EVENTS = BagStateSpec("events", FastPrimitivesCoder())
HISTORY = ReadModifyWriteStateSpec("history", FastPrimitivesCoder())
DUE = TimerSpec("due", TimeDomain.WATERMARK)

# What Beam passes for such an argument: the state or timer of the key at hand.
EVENTS_OF_KEY = beam.DoFn.StateParam(EVENTS)
HISTORY_OF_KEY = beam.DoFn.StateParam(HISTORY)
DUE_OF_KEY = beam.DoFn.TimerParam(DUE)


class Read(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """(source, file) to (user, event), one by one."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def process(self, element: tuple[str, str]) -> Iterator[tuple[str, Event]]:
        """Reads one file."""
        source, path = element
        yield from map(Mapper(self._spec, source), records(Path(path)))


class CutSessions(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """(user, event) to rows of sequences, with state and a timer by user."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def setup(self) -> None:
        """Makes what does not travel."""
        self._cutter = Cutter(self._spec)

    def process(
        self,
        element: tuple[str, Event],
        events: Any = EVENTS_OF_KEY,
        due: Any = DUE_OF_KEY,
    ) -> None:
        """Buffers an event. Setting the timer each time costs less than reading when it is due."""
        event = element[1]
        events.add(event)
        due.set(self._when(event))

    @on_timer(DUE)  # type: ignore[untyped-decorator]
    def complete(
        self,
        user: str = beam.DoFn.KeyParam,
        when: Timestamp = beam.DoFn.TimestampParam,
        events: Any = EVENTS_OF_KEY,
        history: Any = HISTORY_OF_KEY,
        due: Any = DUE_OF_KEY,
    ) -> Iterable[Row]:
        """Cuts what is complete."""
        held = History(*(history.read() or ()))
        final = when.micros // 1000 - self._spec.horizon
        rows, waiting = self._cutter.cut(user, events.read(), held, final)
        history.write(tuple(vars(held).values()))
        events.clear()
        for event in waiting:
            events.add(event)
        if waiting:
            due.set(self._when(waiting[-1]))
        return rows

    def _when(self, event: Event) -> Timestamp:
        wait = self._spec.session.gap + self._spec.horizon
        return Timestamp(micros=(event[0] + wait) * 1000)


def per_event(spec: Spec, inputs: Path, output: Path) -> int:
    """Runs the pipeline over the files of a folder; returns the number of sequences."""
    files = [(name, str(path)) for name in spec.sources for path in inputs.glob(f"{name}.*")]
    options = PipelineOptions(["--runner=FnApiRunner"], save_main_session=False)
    pipeline = beam.Pipeline(options=options)
    rows = (
        pipeline
        | "Files" >> beam.Create(files)
        | "Read" >> beam.ParDo(Read(spec)).with_output_types(tuple[str, Any])
        | "Cut" >> beam.ParDo(CutSessions(spec))
    )
    _ = rows | "Count" >> beam.Map(_counted)
    _ = rows | "Write" >> beam.io.WriteToParquet(
        str(output / "sequences" / "part"),
        sequence_schema(spec),
        codec="zstd",
        file_name_suffix=".parquet",
    )
    result = pipeline.run()
    result.wait_until_finish()
    counted = result.metrics().query(beam.metrics.MetricsFilter().with_name("sequences"))
    return int(sum(counter.committed for counter in counted["counters"]))


def _counted(row: Row) -> None:
    beam.metrics.Metrics.counter("benchmarks", "sequences").inc()


if __name__ == "__main__":
    rival(per_event, __doc__ or "")
