"""`Sequences` fed like a stream: rows and watermarks in a given order, on Beam's test stream."""

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from schemas.observations import arrival_schema
from schemas.spec import Spec
from tests.machine import Raw, decode
from transforms.coders import OBSERVATIONS, whole
from transforms.sequences import Sequences

Outputs = dict[str, list[pa.RecordBatch]]
Step = Any
"""Rows that arrive, or the watermark's next place, ms."""

_kept: dict[int, Outputs] = {}
_lock = threading.Lock()


class _Keep(beam.DoFn):  # type: ignore[misc]
    """Keeps what comes, in this process."""

    def __init__(self, run: int, name: str) -> None:
        self._run = run
        self._name = name

    def process(self, batch: pa.RecordBatch) -> None:
        with _lock:
            _kept[self._run][self._name].append(batch)


def streamed(spec: Spec, steps: Iterable[Step], shards: int = 4, interval: int = 500) -> Outputs:
    """The batches of each output of an unbounded run; at the end the watermark goes to the end."""
    run = len(_kept)
    _kept[run] = defaultdict(list)
    stream = TestStream()
    for step in steps:
        if isinstance(step, int):
            stream.advance_watermark_to(_at(step))
        else:
            stream.add_elements([TimestampedValue((OBSERVATIONS, whole(step)), _at(_first(step)))])
    stream.advance_watermark_to_infinity()
    options = PipelineOptions(["--runner=BundleBasedDirectRunner", "--streaming"])
    with beam.Pipeline(options=options) as pipeline:
        outputs = pipeline | stream | Sequences(spec, False, shards, interval)
        for name, batches in outputs.items():
            _ = batches | f"Keep {name}" >> beam.ParDo(_Keep(run, name))
    return _kept[run]


def arriving(spec: Spec, sources: dict[str, Any]) -> pa.Table:
    """All observations of raw records as they travel, each with raw bytes to know it by."""
    schema = arrival_schema(spec)
    rows = pa.concat_tables(part.rows.cast(schema) for part in decode(spec, sources))
    raw = pa.array([b"%d" % number for number in range(rows.num_rows)], pa.binary())
    return rows.set_column(schema.get_field_index("raw"), "raw", raw)


def one(spec: Spec, *records: Raw, source: str = "e") -> pa.Table:
    """The observations of some records of one source."""
    return arriving(spec, {name: [*records] if name == source else [] for name in spec.sources})


def _at(ms: int) -> Timestamp:
    return Timestamp(micros=ms * 1000)


def _first(rows: pa.Table) -> int:
    return int(np.asarray(rows["time"]).min())
