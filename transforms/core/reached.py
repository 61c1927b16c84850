"""The watermark that a batch came with: what the job's is, or will be as soon as the batch is in.

A stage's own watermark is not told to it. A shard that reads up on the past fires for all of it at
once, where it knows how far the watermark is.
"""

import pyarrow as pa

from transforms.core.late import BEFORE_ALL

_KEY = b"phia-watermark"


def reached(batch: pa.RecordBatch, watermark: int) -> pa.RecordBatch:
    """The batch with a watermark, ms; BEFORE_ALL is none."""
    if watermark <= BEFORE_ALL:
        return batch
    metadata = {**(batch.schema.metadata or {}), _KEY: str(watermark).encode()}
    return batch.replace_schema_metadata(metadata)


def reached_by(batch: pa.RecordBatch) -> int:
    """The watermark that a batch came with, ms; BEFORE_ALL where it came with none."""
    found = (batch.schema.metadata or {}).get(_KEY)
    return BEFORE_ALL if found is None else int(found)
