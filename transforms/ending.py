"""The stateful stage of bounded input: observations wait until the end of time, and are cut."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow

from schemas.observations import observation_schema
from schemas.spec import Spec
from transforms.coders import RecordBatchCoder
from transforms.core.shard import cut_all
from transforms.measured import beside, tell_firing
from transforms.measures import Stopwatch

WAITING = BagStateSpec("waiting", RecordBatchCoder())
END = TimerSpec("end", TimeDomain.WATERMARK)


@beam.typehints.with_input_types(tuple[int, pa.RecordBatch])
@beam.typehints.with_output_types(pa.RecordBatch)
class CutAtEnd(beam.DoFn):  # type: ignore[misc]
    """Gives the sequences of all sessions; tombstones and statistics by tag."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._schema = observation_schema(spec)

    def process(
        self,
        element: tuple[int, pa.RecordBatch],
        waiting: Any = beam.DoFn.StateParam(WAITING),
        end: Any = beam.DoFn.TimerParam(END),
    ) -> None:
        """Keeps observations until the end."""
        waiting.add(element[1].select(self._schema.names))
        end.set(GlobalWindow().max_timestamp())

    @on_timer(END)  # type: ignore[untyped-decorator]
    def cut(self, waiting: Any = beam.DoFn.StateParam(WAITING)) -> Iterator[Any]:
        """Cuts everything: nothing comes any more."""
        with Stopwatch() as watch:
            rows = pa.Table.from_batches(waiting.read(), self._schema)
        waiting.clear()
        done = yield from watch.items(cut_all(rows, self._spec))
        tell_firing(self._spec, done.tally, watch.us)
        yield from beside(done.tally, done.tombstones, self._spec)
