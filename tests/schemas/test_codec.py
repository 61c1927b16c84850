"""The IPC codec: what it gives back, and what it refuses."""

import random
import struct
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import CodecError, decode_batch, encode_batch
from schemas.sequences import sequence_schema
from tests.machine import spec_of
from tests.oracles import shop

SCHEMA = sequence_schema(spec_of(shop.spec_of()))
ROW = {
    "user_id": "ü",
    "sequence_id": "ab" * 16,
    "session_start": 1_700_000_000_000,
    "session_end": 1_700_000_001_000,
    "token_type": [0, 1, 2],
    "token_id": [7, 3, -1],
    "token_time": [1_700_000_000_000] * 3,
    "contents": 1,
    "new_contents": 1,
    "raw_tokens": 3,
    "spec": "0" * 16,
    "category_topic": [[1, 2]],
}
BATCH = pa.RecordBatch.from_pylist([ROW, {**ROW, "token_id": None}], schema=SCHEMA)
MESSAGES = [encode_batch(BATCH, compression) for compression in (None, "zstd", "lz4")]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_batch_comes_back(message: bytes) -> None:
    back = decode_batch(message, SCHEMA)
    assert back.equals(BATCH)
    assert back.schema.metadata == SCHEMA.metadata


def test_an_empty_batch_comes_back() -> None:
    empty = SCHEMA.empty_table().to_batches() or [pa.RecordBatch.from_pylist([], schema=SCHEMA)]
    assert decode_batch(encode_batch(empty[0]), SCHEMA).num_rows == 0


def test_columns_that_are_not_known_stay() -> None:
    more = BATCH.append_column("score", pa.array([1.0, 2.0]))
    assert decode_batch(encode_batch(more), SCHEMA).column_names == [*SCHEMA.names, "score"]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_cut_short_is_refused(message: bytes) -> None:
    for length in range(len(message) - 8):  # the last 8 only say that it ends
        with pytest.raises(CodecError):
            decode_batch(message[:length], SCHEMA)


@pytest.mark.parametrize("message", MESSAGES)
def test_flipped_bits_give_a_batch_of_the_schema_or_a_refusal(message: bytes) -> None:
    drawn = random.Random(5)
    for _ in range(3000):
        changed = bytearray(message)
        for _ in range(drawn.choice([1, 1, 2, 8])):
            changed[drawn.randrange(len(changed))] ^= 1 << drawn.randrange(8)
        _tried(bytes(changed))


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(message: bytes) -> None:
    with pytest.raises(CodecError):
        decode_batch(message, SCHEMA)


@settings(max_examples=300)
@given(st.sampled_from(MESSAGES), st.data())
def test_spliced_bytes_give_a_batch_of_the_schema_or_a_refusal(
    message: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(message)))
    until = data.draw(st.integers(at, min(len(message), at + 40)))
    _tried(message[:at] + data.draw(st.binary(max_size=40)) + message[until:])


@given(st.integers(0, len(MESSAGES[0]) // 4 - 1), st.integers(-(2**31), 2**31 - 1))
def test_lengths_that_lie_give_a_batch_of_the_schema_or_a_refusal(place: int, number: int) -> None:
    message = bytearray(MESSAGES[0])
    struct.pack_into("<i", message, 4 * place, number)
    _tried(bytes(message))


def _tried(message: bytes) -> None:
    """What is not refused is a valid batch, all of whose values can be read."""
    try:
        batch = decode_batch(message, SCHEMA)
    except CodecError as refused:
        _one_line(refused)
        return
    assert encode_batch(batch)
    for field in SCHEMA:
        assert batch.schema.field(field.name).type == field.type


def _one_line(refused: CodecError) -> None:
    assert "\n" not in str(refused)


def _retyped(name: str, kind: pa.DataType) -> pa.RecordBatch:
    at = SCHEMA.get_field_index(name)
    return BATCH.set_column(at, name, pa.nulls(BATCH.num_rows, kind))


def _dictionary() -> pa.RecordBatch:
    at = SCHEMA.get_field_index("user_id")
    return BATCH.set_column(at, "user_id", BATCH["user_id"].dictionary_encode())


def _union() -> pa.RecordBatch:
    column = pa.UnionArray.from_sparse(
        pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])]
    )
    return BATCH.append_column("odd", column)


def _extension() -> pa.RecordBatch:
    return BATCH.append_column("odd", pa.array([b"0" * 16] * 2, pa.uuid()))


def _nested_union() -> pa.RecordBatch:
    inner = _union()["odd"]
    return BATCH.append_column("odd", pa.ListArray.from_arrays(pa.array([0, 1, 2], "int32"), inner))


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: _retyped("token_id", pa.list_(pa.int32())), "token_id is of list"),
        (lambda: _retyped("user_id", pa.binary()), "user_id is of binary; must be of string"),
        (lambda: _retyped("session_end", pa.timestamp("us", "UTC")), "session_end is of"),
        (lambda: _retyped("session_end", pa.timestamp("ms")), "session_end is of"),
        (_dictionary, "user_id is of dictionary"),
        (lambda: BATCH.drop_columns(["spec"]), "spec is there 0 times"),
        (lambda: BATCH.append_column("spec", BATCH["spec"]), "spec is there 2 times"),
        (_union, "odd holds a union"),
        (_nested_union, "odd .*union"),
        (_extension, "odd is of an extension type"),
        (lambda: pa.RecordBatch.from_pydict({f"c{n}": [1] for n in range(1001)}), "1001 columns"),
    ],
)
def test_a_message_of_another_schema_is_refused(
    make: Callable[[], pa.RecordBatch], part: str
) -> None:
    with pytest.raises(CodecError, match=part):
        decode_batch(encode_batch(make()), SCHEMA)


@pytest.mark.parametrize("count", [0, 2])
def test_a_message_holds_one_batch(count: int) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as writer:
        for _ in range(count):
            writer.write_batch(BATCH)
    with pytest.raises(CodecError, match="one record batch"):
        decode_batch(sink.getvalue().to_pybytes(), SCHEMA)


def test_a_message_that_is_too_large_is_refused() -> None:
    with pytest.raises(CodecError, match=f"{len(MESSAGES[0])} bytes; at most 100"):
        decode_batch(MESSAGES[0], SCHEMA, most_bytes=100)


def test_a_small_message_that_says_much_is_refused() -> None:
    schema = pa.schema([pa.field("n", pa.int64())])
    zeros = pa.record_batch([pa.array(np.zeros(4_000_000, np.int64))], schema=schema)
    message = encode_batch(zeros, "zstd")
    assert len(message) < 100_000
    with pytest.raises(CodecError, match="says 32000000 bytes; at most 1000000"):
        decode_batch(message, schema, most_bytes=1_000_000)
    assert decode_batch(message, schema).num_rows == 4_000_000


def test_a_length_that_no_memory_holds_is_refused() -> None:
    """A buffer's uncompressed length stands before its bytes: it is not believed."""
    schema = pa.schema([pa.field("n", pa.int64())])
    message = encode_batch(pa.record_batch([pa.array(np.arange(50_000))], schema=schema), "zstd")
    lie = message.replace(struct.pack("<q", 400_000), struct.pack("<q", 1 << 45))
    assert lie != message
    with pytest.raises(CodecError):
        decode_batch(lie, schema)


def test_trailing_bytes_of_another_stream_are_refused() -> None:
    with pytest.raises(CodecError):
        decode_batch(MESSAGES[0][:-8] + MESSAGES[0], SCHEMA)


def test_text_that_is_no_utf_8_is_refused() -> None:
    assert "ü".encode() in MESSAGES[0]
    with pytest.raises(CodecError, match=r"(?i)utf"):
        decode_batch(MESSAGES[0].replace("ü".encode(), b"\xff\xff"), SCHEMA)
