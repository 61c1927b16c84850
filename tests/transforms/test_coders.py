"""Batches between the stages."""

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.coders import registry

from schemas.codec import encode_batch
from schemas.observations import observation_schema
from schemas.sequences import sequence_schema
from tests.machine import spec_of
from tests.oracles import shop
from transforms.coders import RecordBatchCoder, whole

SPEC = spec_of(shop.spec_of())


@pytest.mark.parametrize("schema", [sequence_schema(SPEC), observation_schema(SPEC)])
def test_a_batch_comes_back_with_its_metadata(schema: pa.Schema) -> None:
    coder = RecordBatchCoder()
    for batch in (whole(schema.empty_table()), pa.RecordBatch.from_pylist([], schema=schema)):
        back = coder.decode(coder.encode(batch))
        assert back.schema.equals(schema, check_metadata=True)
        assert back.num_rows == 0


def test_a_slice_is_written_without_the_rest() -> None:
    numbers = pa.RecordBatch.from_pydict({"n": list(range(100_000))})
    coder = RecordBatchCoder()
    assert coder.decode(coder.encode(numbers.slice(5, 2))).to_pydict() == {"n": [5, 6]}
    assert len(coder.encode(numbers.slice(5, 2))) < 1_000


def test_columns_are_compressed_and_need_not_be() -> None:
    texts = pa.RecordBatch.from_pydict({"t": [f"content {n}" for n in range(1_000)]})
    coder = RecordBatchCoder()
    assert len(coder.encode(texts)) < texts.nbytes * 2 / 3
    for encoded in (coder.encode(texts), encode_batch(texts), encode_batch(texts, "zstd")):
        assert coder.decode(encoded).equals(texts)


def test_beam_takes_this_coder_for_batches() -> None:
    assert isinstance(registry.get_coder(pa.RecordBatch), RecordBatchCoder)
    assert isinstance(beam.coders.registry.get_coder(tuple[int, pa.RecordBatch]), object)
    assert not RecordBatchCoder().is_deterministic()


def test_a_table_becomes_one_batch() -> None:
    table = pa.table({"n": pa.chunked_array([[1, 2], [3]])})
    assert whole(table).to_pydict() == {"n": [1, 2, 3]}
    assert whole(table.slice(0, 0)).num_rows == 0
