"""Small messages that hold very much are rejected, by what they claim, before they are unpacked."""

import json
import resource
import subprocess
import sys
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.files import read_message
from pipeline.files.inputs import MESSAGE_BYTES
from pipeline.files.parquet_sizes import claims as parquet_claims
from pipeline.files.weights import VALUE_BYTES, held, oversize
from schemas.codec import CodecError, decode_batch
from schemas.fetched import Columns, Damaged, Fetched
from schemas.ipc_sizes import claims as ipc_claims
from schemas.sources import Source
from tests.pipeline import bombs

LARGE = 12_000
"""Megabytes: about 10 GB for the bombs of a kind that no memory need hold to be made."""
MADE_WHOLE = dict.fromkeys(
    ("arrow_zeros", "arrow_old", "parquet_zeros", "parquet_runs", "parquet_prefixes"), 80
)
MALFORMED = {
    "arrow_old",
    "parquet_footer",
    "avro_records",
    "avro_nulls",
    "avro_hollow",
    "avro_deep",
}
NEVER = MALFORMED - {"avro_records"} | {"avro_nothing", "avro_zeros"}
"""What is refused in any size: avro_zeros and avro_nothing are large in their smallest."""
MOST_MEMORY = 500 << 20


def bomb(name: str) -> bytes:
    return bombs.BOMBS[name](MADE_WHOLE.get(name, LARGE))


def read(name: str, data: bytes) -> list[Fetched]:
    fmt = name.partition("_")[0]
    source = Source.model_validate({"user": "u", "time": "t", "format": fmt})
    return read_message(
        "views",
        source,
        data,
        partition=4,
        offset=5,
        timestamp=6,
        batch_rows=50_000,
        record_bytes=1_000_000,
    )


@pytest.mark.parametrize("name", bombs.BOMBS)
def test_a_bomb_is_one_reject_that_keeps_its_bytes(name: str) -> None:
    data = bomb(name)
    assert len(data) < 60_000 or name in {"avro_deep", "parquet_footer"}
    (bad,) = read(name, data)
    assert isinstance(bad, Damaged)
    assert bad.raw == data[:1_000_000]
    if name in MALFORMED:
        assert bad.reason == "malformed"
    else:
        assert bad.reason == "too_large"
        assert f"bytes or more unpacked; {MESSAGE_BYTES} are allowed" in bad.detail


@pytest.mark.parametrize("name", sorted(set(bombs.BOMBS) - NEVER))
def test_the_same_in_a_bearable_size_goes_through(name: str) -> None:
    fetched = read(name, bombs.BOMBS[name](2))
    assert fetched
    assert all(isinstance(part, Columns) for part in fetched)


def test_bombs_take_little_memory() -> None:
    """In a process of its own: the most that it ever held, bombs and libraries included."""
    script = "from tests.pipeline.test_files_bombs import explode; explode()"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, timeout=120, text=True
    )
    took = json.loads(done.stdout)
    assert set(took) == set(bombs.BOMBS)
    assert max(took.values()) < MOST_MEMORY, took


def explode() -> None:
    """Reads each bomb, and prints by how many bytes the most memory ever held has grown."""
    took = {}
    for name in bombs.BOMBS:
        data = bomb(name)
        before = _most_memory()
        read(name, data)
        took[name] = _most_memory() - before
    sys.stdout.write(json.dumps(took))


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def test_a_compression_in_the_metadata_is_no_way_around_the_limit_of_a_sequence() -> None:
    data = bombs.arrow_old(80)
    with pytest.raises(CodecError, match=r"before Arrow 1\.0"):
        decode_batch(data, pa.schema([pa.field("u", pa.int64())]))


TEXTS = st.lists(st.none() | st.text(max_size=40), min_size=1, max_size=50)
TABLES = st.builds(
    lambda texts, seed, width: pa.table(
        {
            "u": texts,
            "n": np.random.default_rng(seed).integers(0, 3, len(texts)),
            "f": pa.array([b"x" * width] * len(texts), pa.binary(width)),
            "l": [[text, None] if text else [] for text in texts],
            "s": [{"b": bool(text), "z": None if text else 1.5} for text in texts],
        }
    ),
    TEXTS,
    st.integers(0, 9),
    st.integers(1, 90),
)


@given(TABLES, st.sampled_from(["zstd", "snappy", "none"]), st.sampled_from(["1.0", "2.0"]))
@settings(deadline=None)
def test_pages_claim_no_less_than_they_hold(table: pa.Table, codec: str, pages: str) -> None:
    out = BytesIO()
    pq.write_table(
        table, out, compression=codec, data_page_version=pages, row_group_size=20, data_page_size=99
    )
    file = pq.ParquetFile(BytesIO(out.getvalue()))
    claimed = dict.fromkeys(table.column_names, 0)
    coded = set()
    for claim in parquet_claims(file, out.getvalue(), VALUE_BYTES):
        claimed[claim.path.split(".")[0]] += claim.size
        coded |= {claim.path} if claim.in_dictionary else set()
    assert coded <= {"u", "l.list.element"}
    for name, size in claimed.items():
        column = table.select([name])
        assert size >= column.nbytes - (int(oversize(column, 0).sum()) if name in "ul" else 0)


@given(TABLES, st.sampled_from([None, "zstd", "lz4"]))
@settings(deadline=None)
def test_messages_claim_no_less_than_they_hold(table: pa.Table, codec: str | None) -> None:
    out = BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.ipc.new_stream(out, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=7)
    assert sum(ipc_claims(out.getvalue(), VALUE_BYTES)) >= held(table)


@pytest.mark.parametrize("name", ["arrow_dictionary", "parquet_dictionary", "avro_records"])
@given(st.data())
@settings(deadline=None)
def test_bombs_changed_at_random_neither_raise_nor_crash(name: str, data: st.DataObject) -> None:
    whole = bytearray(bombs.BOMBS[name](3))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    assert all(isinstance(part, Columns | Damaged) for part in read(name, bytes(whole)))
