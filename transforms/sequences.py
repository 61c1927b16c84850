"""From decoded observations to sequences: `ReadKafka | Sequences(spec) | WriteSequences`."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa

from schemas.outputs import SEQUENCES, output_schemas
from schemas.spec import Spec
from transforms.coders import OBSERVATIONS, Tagged
from transforms.ending import CutAtEnd
from transforms.firing import Firing
from transforms.sessions import CutSessions
from transforms.shards import ShardByUser

SHARDS = 32
"""Above the parallelism, so that all workers have some; fixed for the life of a job's state."""

_READ = ("rejected", "late", "dictionary", "statistics")
_CUT = ("late", "statistics", "tombstones")


class Route(beam.DoFn):  # type: ignore[misc]
    """Parts what the readers give by its tag."""

    def process(self, element: Tagged) -> Iterator[Any]:
        """The batch, to the output that its tag names."""
        tag, batch = element
        yield batch if tag == OBSERVATIONS else beam.pvalue.TaggedOutput(tag, batch)


class Sequences(beam.PTransform):  # type: ignore[misc]
    """Makes what `ReadFiles` or `ReadKafka` gives into the outputs of a run, by name.

    A dict of PCollections of record batches: sequences, late, rejected, dictionary, statistics,
    tombstones; their schemas are `schemas.outputs.output_schemas`. For bounded input say
    `bounded=True`: all is cut at the end. Else `interval` is the time between firings, ms of event
    time; `shards` must stay the same while a job's state lives.
    """

    def __init__(
        self, spec: Spec, bounded: bool, shards: int = SHARDS, interval: int | None = None
    ) -> None:
        super().__init__()
        self._spec = spec
        self._shards = shards
        stream = CutSessions(spec, Firing.of(spec, interval), shards)
        self._cut = CutAtEnd(spec) if bounded else stream

    def expand(self, read: Any) -> Any:
        """The outputs by name."""
        routed = read | "Route" >> beam.ParDo(Route()).with_outputs(
            *_READ, main=OBSERVATIONS
        ).with_output_types(pa.RecordBatch)
        cut = (
            routed[OBSERVATIONS]
            | "ShardByUser" >> beam.ParDo(ShardByUser(self._shards))
            | "CutSessions" >> beam.ParDo(self._cut).with_outputs(*_CUT, main=SEQUENCES)
        )
        return {name: self._merged(name, routed, cut) for name in output_schemas(self._spec)}

    def _merged(self, name: str, routed: Any, cut: Any) -> beam.PCollection:
        if name not in _READ:
            return cut[name]
        if name not in _CUT:
            return routed[name]
        return (routed[name], cut[name]) | f"Merge {name}" >> beam.Flatten()
