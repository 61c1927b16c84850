"""The watermark that a batch came with."""

import pyarrow as pa

from schemas.codec import encode_batch
from transforms.coders import RecordBatchCoder
from transforms.core.late import BEFORE_ALL
from transforms.core.reached import reached, reached_by

BATCH = pa.RecordBatch.from_pydict({"a": [1]}, metadata={"kept": "yes"})


def test_none_is_before_all() -> None:
    assert reached_by(BATCH) == BEFORE_ALL
    assert reached_by(reached(BATCH, -3)) == -3
    assert reached(BATCH, BEFORE_ALL) is BATCH


def test_it_travels_with_the_batch() -> None:
    sent = RecordBatchCoder().decode(encode_batch(reached(BATCH, 5).select(["a"])))
    assert reached_by(sent) == 5
    assert sent.schema.metadata[b"kept"] == b"yes"
