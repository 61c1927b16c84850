"""Avro container files: types, JSON where no type fits, and what damage costs."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import pyarrow as pa
import pytest
from fastavro._write_py import BLOCK_WRITERS
from hypothesis import given
from hypothesis import strategies as st

from pipeline.files import read_message
from pipeline.files.avro import read_avro
from pipeline.files.inputs import Input, Reading
from schemas.fetched import Columns, Damaged, Fetched, Texts
from schemas.sources import Source

LONG_MS = {"type": "long", "logicalType": "timestamp-millis"}
NOW = datetime(2024, 5, 6, 7, 8, 9, 10_000, tzinfo=UTC)
PLAIN = {"u": "string", "t": LONG_MS}
PLAIN_ROWS = [{"u": f"user {i}", "t": NOW} for i in range(2500)]


def write(fields: dict[str, Any], rows: list[dict[str, Any]], **options: Any) -> bytes:
    schema = {
        "type": "record",
        "name": "View",
        "fields": [{"name": name, "type": kind} for name, kind in fields.items()],
    }
    out = BytesIO()
    fastavro.writer(out, schema, rows, **options)
    return out.getvalue()


def read(data: bytes, unit: str = "ms", **options: Any) -> list[Fetched]:
    source = Source.model_validate(
        {"user": "u", "time": {"field": "t", "unit": unit}, "format": "avro"}
    )
    place = {"partition": 0, "offset": 0, "timestamp": None}
    settings = {"batch_rows": 1000, "record_bytes": 1_000_000} | place | options
    return read_message("views", source, data, **settings)


def lines(data: bytes, batch_rows: int = 1000) -> tuple[list[int], list[int]]:
    """Line numbers of the rows, and of what is damaged, as a file has them."""
    rows: list[int] = []
    damaged: list[int] = []
    source = Input("views", file="views.avro", value=data)
    for item in read_avro(source, Reading(batch_rows, 1_000_000), "ms"):
        assert item.origin.line is not None
        (damaged if isinstance(item, Damaged) else rows).extend(item.origin.line.tolist())
    return rows, damaged


def test_fields_have_the_arrow_types_of_their_avro_types() -> None:
    fields = {
        "u": ["null", "string"],
        "t": LONG_MS,
        "micros": {"type": "long", "logicalType": "timestamp-micros"},
        "day": {"type": "int", "logicalType": "date"},
        "price": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        "tags": {"type": "array", "items": "long"},
        "kind": {"type": "enum", "name": "Kind", "symbols": ["VIEW", "LIKE"]},
        "code": {"type": "fixed", "name": "Code", "size": 2},
        "geo": {"type": "record", "name": "Geo", "fields": [{"name": "c", "type": "float"}]},
    }
    row = {
        "u": None,
        "t": NOW,
        "micros": NOW,
        "day": date(2024, 5, 6),
        "price": Decimal("1.50"),
        "tags": [1, 2],
        "kind": "LIKE",
        "code": b"\0\1",
        "geo": {"c": 0.5},
    }
    (batch,) = read(write(fields, [row, row]))
    assert isinstance(batch, Columns)
    assert batch.table.to_pylist() == [row, row]
    assert {field.name: str(field.type) for field in batch.table.schema} == {
        "u": "string",
        "t": "timestamp[ms, tz=UTC]",
        "micros": "timestamp[us, tz=UTC]",
        "day": "date32[day]",
        "price": "decimal128(9, 2)",
        "tags": "list<item: int64>",
        "kind": "string",
        "code": "fixed_size_binary[2]",
        "geo": "struct<c: float>",
    }


@pytest.mark.parametrize(
    ("unit", "time"),
    [
        ("s", "1714979289.01"),
        ("ms", 1714979289010),
        ("us", 1714979289010000),
        ("iso8601", "2024-05-06T07:08:09.010000+00:00"),
    ],
)
def test_values_of_several_types_come_as_json(unit: str, time: object) -> None:
    fields = {
        "u": ["string", "long", "double"],
        "t": LONG_MS,
        "m": {"type": "map", "values": "bytes"},
        "id": {"type": "string", "logicalType": "uuid"},
        "price": {"type": "bytes", "logicalType": "decimal", "precision": 50, "scale": 2},
    }
    rest = {"t": NOW, "id": UUID(int=7), "price": Decimal("12.50")}
    rows = [{"u": "ø", "m": {"k": b"text"}} | rest, {"u": 1 << 60, "m": {"l": b"\xff"}} | rest]
    (batch,) = read(write(fields, rows), unit)
    assert isinstance(batch, Texts)
    same = {"t": time, "id": str(UUID(int=7)), "price": "12.5"}
    assert [json.loads(text) for text in batch.texts] == [
        {"u": "ø", "m": {"k": "text"}} | same,
        {"u": 1 << 60, "m": {"l": "ff"}} | same,
    ]
    assert batch.texts[0].startswith('{"u":"ø","t":'.encode())


def test_only_the_columns_wanted_decide() -> None:
    data = write({"m": {"type": "map", "values": "long"}, **PLAIN}, [{"m": {}, **PLAIN_ROWS[0]}])
    assert [type(item) for item in read(data)] == [Texts]
    (batch,) = read(data, columns={"t", "u"})
    assert isinstance(batch, Columns)
    assert batch.table.to_pylist() == PLAIN_ROWS[:1]


CODECS = sorted(BLOCK_WRITERS)


def test_the_codecs_are_all_that_fastavro_writes_and_avro_has() -> None:
    assert CODECS == ["bzip2", "deflate", "lz4", "null", "snappy", "xz", "zstandard"]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("place", [0.4, 0.8])
def test_a_damaged_block_of_any_codec_is_damaged_and_the_rows_before_go_through(
    codec: str, place: float
) -> None:
    whole = write(PLAIN, PLAIN_ROWS, codec=codec, sync_interval=500)
    at = int(place * len(whole))
    for wrong in (b"\xff" * 40, bytes(40), bytes(range(40))):
        found = read(whole[:at] + wrong + whole[at + 40 :])
        rows = sum(part.table.num_rows for part in found if isinstance(part, Columns))
        assert 0 < rows < len(PLAIN_ROWS) or codec == "null"
        assert isinstance(found[-1], Damaged) or codec == "null"


@pytest.mark.parametrize("codec", CODECS)
def test_rows_come_in_batches_with_their_numbers(codec: str) -> None:
    data = write(PLAIN, PLAIN_ROWS, codec=codec, sync_interval=500)
    fetched = read(data)
    tables = [item.table for item in fetched if isinstance(item, Columns)]
    assert [table.num_rows for table in tables] == [1000, 1000, 500]
    assert pa.concat_tables(tables).to_pylist() == PLAIN_ROWS
    assert lines(data) == (list(range(1, 2501)), [])


def test_a_large_row_is_damaged_alone() -> None:
    rows = [{"u": "x" * size, "t": NOW} for size in (1, 5000, 2)]
    for fields in (PLAIN, PLAIN | {"u": ["string", "long"]}):
        fetched = read(write(fields, rows), record_bytes=1000)
        (bad,) = (item for item in fetched if isinstance(item, Damaged))
        assert (bad.reason, len(bad.raw)) == ("too_large", 1000)
        assert len(fetched) == 2


def test_every_cut_gives_the_blocks_before_it() -> None:
    data = write(PLAIN, PLAIN_ROWS[:40], sync_interval=100)
    blocks = list(fastavro.block_reader(BytesIO(data)))
    # Cut between two blocks, or after the header, a container is whole.
    whole = {block.offset + block.size for block in blocks} | {blocks[0].offset}
    for kept in range(len(data)):
        rows, damaged = lines(data[:kept])
        assert rows == list(range(1, len(rows) + 1))
        assert damaged == ([] if kept in whole else [len(rows) + 1])


def test_a_broken_record_costs_the_rest_of_its_block() -> None:
    data = bytearray(write(PLAIN, PLAIN_ROWS[:40], sync_interval=100))
    at = data.index(b"user 20")
    data[at : at + 7] = b"\xff" * 7
    rows, damaged = lines(bytes(data))
    (bad,) = damaged
    assert bad == 21
    assert rows[:20] == list(range(1, 21))
    assert rows[20] > 21
    assert rows[20:] == list(range(rows[20], 41))


@given(st.data())
def test_bytes_changed_at_random_never_raise(data: st.DataObject) -> None:
    fields = {
        "u": ["null", "string", "double"],
        "t": LONG_MS,
        "l": {"type": "array", "items": "int"},
    }
    rows = [{"u": u, "t": NOW, "l": [1, 2]} for u in ("a", None, 0.5)]
    whole = bytearray(write(fields, rows, codec="deflate" if data.draw(st.booleans()) else "null"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for item in read(bytes(whole)):
        assert isinstance(item, Columns | Texts | Damaged)
