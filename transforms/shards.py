"""Observations to the shard of their user."""

from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from schemas.ids import bucket_of
from transforms.core.arrays import ints
from transforms.measures import Stopwatch, observe

Sharded = tuple[int, pa.RecordBatch]


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class ShardByUser(beam.DoFn):  # type: ignore[misc]
    """Splits a batch of observations by shard, a hash of the user."""

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, batch: pa.RecordBatch) -> Iterator[Sharded]:
        """A batch for each shard that has rows in it."""
        with Stopwatch() as watch:
            parts = list(self._split(batch))
        observe("stage_us", watch.us, "shard")
        observe("shard_rows", batch.num_rows, many=len(parts))
        yield from parts

    def _split(self, batch: pa.RecordBatch) -> Iterator[Sharded]:
        if self._shards == 1:
            yield 0, batch
            return
        shard = self._shard_of(batch)
        order = pa.array(np.argsort(shard, kind="stable"))
        columns = [column.take(order) for column in batch.columns]  # faster than batch.take
        by_shard = pa.RecordBatch.from_arrays(columns, schema=batch.schema)
        numbers, counts = np.unique(shard, return_counts=True)
        starts = np.cumsum(counts) - counts
        for number, start, count in zip(
            numbers.tolist(), starts.tolist(), counts.tolist(), strict=True
        ):
            yield number, by_shard.slice(start, count)

    def _shard_of(self, batch: pa.RecordBatch) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        users = batch["user"].dictionary_encode()
        buckets = [bucket_of(user, self._shards) for user in users.dictionary.to_pylist()]
        return np.array(buckets, np.int64)[ints(users.indices)]
