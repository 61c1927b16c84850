"""Parquet and Arrow: rows, numbers, limits, and what damage costs."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.files import read_file, read_message
from pipeline.files.weights import oversize
from schemas.fetched import Columns, Damaged, Fetched
from schemas.sources import Source
from transforms.core.decode.raw import raw_of_row

N = 2500
TABLE = pa.table(
    {
        "u": [f"user {i}" for i in range(N)],
        "t": pa.array(range(N), pa.timestamp("ms", "UTC")),
        "geo": [{"country": "NO" if i % 2 else None} for i in range(N)],
        "tags": [["a"] * (i % 3) for i in range(N)],
        "kind": pa.array(["VIEW", "LIKE"] * (N // 2)).dictionary_encode(),
    }
)


def parquet(table: pa.Table, **options: Any) -> bytes:
    out = BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def feather(table: pa.Table) -> bytes:
    out = BytesIO()
    with pa.ipc.new_file(
        out, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
    ) as w:
        w.write_table(table, max_chunksize=300)
    return out.getvalue()


def stream(table: pa.Table) -> bytes:
    out = BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=300)
    return out.getvalue()


Write = Callable[[pa.Table], bytes]
WRITERS = pytest.mark.parametrize(
    ("fmt", "write"), [("parquet", parquet), ("arrow", feather), ("arrow", stream)]
)


def source_of(fmt: str) -> Source:
    return Source.model_validate({"user": "u", "time": "t", "format": fmt})


def read(folder: Path, fmt: str, data: bytes, **options: Any) -> list[Fetched]:
    path = folder / f"views.{fmt}"
    path.write_bytes(data)
    settings = {"batch_rows": 1000, "record_bytes": 1_000_000} | options
    return list(read_file("views", source_of(fmt), path, folder, **settings))


def rows_of(fetched: list[Fetched]) -> dict[int, dict[str, Any]]:
    rows: dict[int, dict[str, Any]] = {}
    for item in fetched:
        if isinstance(item, Columns):
            assert item.origin.line is not None
            rows |= zip(item.origin.line.tolist(), item.table.to_pylist(), strict=True)
    return rows


def damage(fetched: list[Fetched]) -> list[tuple[int, str]]:
    found = []
    for item in fetched:
        if isinstance(item, Damaged):
            assert item.origin.line is not None
            found.append((int(item.origin.line[0]), item.reason))
    return found


def numbered(table: pa.Table) -> dict[int, dict[str, Any]]:
    return dict(enumerate(table.to_pylist(), 1))


@WRITERS
def test_rows_come_back_in_batches(tmp_path: Path, fmt: str, write: Write) -> None:
    fetched = read(tmp_path, fmt, write(TABLE))
    assert rows_of(fetched) == numbered(TABLE)
    assert [i.table.num_rows for i in fetched if isinstance(i, Columns)] == [1000, 1000, 500]


@WRITERS
def test_only_the_columns_wanted_are_read(tmp_path: Path, fmt: str, write: Write) -> None:
    fetched = read(tmp_path, fmt, write(TABLE), columns={"geo", "t", "absent"})
    assert rows_of(fetched) == numbered(TABLE.select(["t", "geo"]))
    fetched = read(tmp_path, fmt, write(TABLE), columns={"absent"})
    assert rows_of(fetched) == numbered(TABLE.select(["u"]))


@WRITERS
def test_a_message_gives_its_place_to_every_row(fmt: str, write: Write) -> None:
    fetched = read_message(
        "views",
        source_of(fmt),
        write(TABLE),
        partition=4,
        offset=5,
        timestamp=6,
        batch_rows=2000,
        record_bytes=1_000_000,
    )
    assert [i.table.num_rows for i in fetched if isinstance(i, Columns)] == [2000, 500]
    for item in fetched:
        assert item.origin.file is None
        assert item.origin.line is None
        assert item.origin.partition is not None
        assert item.origin.timestamp is not None
        assert set(item.origin.partition.tolist()) == {4}
        assert set(item.origin.timestamp.tolist()) == {6}


@WRITERS
def test_a_large_row_is_damaged_alone(tmp_path: Path, fmt: str, write: Write) -> None:
    tags = [["x" * 400] * 4 if i == 7 else ["a"] for i in range(20)]
    table = pa.table({"u": [str(i) for i in range(20)], "tags": tags})
    fetched = read(tmp_path, fmt, write(table), record_bytes=1000)
    whole = numbered(table)
    del whole[8]
    assert rows_of(fetched) == whole
    (bad,) = (item for item in fetched if isinstance(item, Damaged))
    assert damage([bad]) == [(8, "too_large")]
    assert len(bad.raw) == 1000
    assert "1601 bytes" in bad.detail


@WRITERS
def test_an_empty_table_gives_nothing(tmp_path: Path, fmt: str, write: Write) -> None:
    assert read(tmp_path, fmt, write(TABLE.slice(0, 0))) == []


@WRITERS
def test_a_column_twice_is_damage(tmp_path: Path, fmt: str, write: Write) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["u", "u"])
    assert damage(read(tmp_path, fmt, write(table))) == [(1, "malformed")]


@WRITERS
@pytest.mark.parametrize("kept", [0, 3, 20, 4000])
def test_a_file_cut_short_is_damaged_once(
    tmp_path: Path, fmt: str, write: Write, kept: int
) -> None:
    data = write(TABLE)[:kept]
    fetched = read(tmp_path, fmt, data)
    rows = rows_of(fetched)
    assert rows == numbered(TABLE.slice(0, len(rows)))
    assert damage(fetched) == [(len(rows) + 1, "malformed")]


@pytest.mark.parametrize("write", [feather, stream])
def test_batches_before_the_end_of_a_cut_arrow_file_go_through(
    tmp_path: Path, write: Write
) -> None:
    data = write(TABLE)
    fetched = read(tmp_path, "arrow", data[: len(data) * 3 // 4])
    rows = rows_of(fetched)
    assert len(rows) >= 300
    assert rows == numbered(TABLE.slice(0, len(rows)))
    assert damage(fetched) == [(len(rows) + 1, "malformed")]


@pytest.mark.parametrize("fmt", ["parquet", "arrow", "avro"])
@pytest.mark.parametrize("data", [b'{"u":1}\n' * 50, b"\0" * 100, b"PAR1" * 9, b"ARROW1\0\0" * 9])
def test_another_format_is_damaged_once(tmp_path: Path, fmt: str, data: bytes) -> None:
    (bad,) = read(tmp_path, fmt, data)
    assert isinstance(bad, Damaged)
    assert (bad.reason, bad.raw) == ("malformed", data)


def test_a_broken_row_group_leaves_the_others(tmp_path: Path) -> None:
    data = bytearray(parquet(TABLE, row_group_size=500, compression="zstd"))
    column = pq.ParquetFile(BytesIO(data)).metadata.row_group(2).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 200] = b"\xff" * 200
    fetched = read(tmp_path, "parquet", bytes(data), batch_rows=300)
    whole = numbered(TABLE)
    assert rows_of(fetched) == {i: row for i, row in whole.items() if not 1000 < i <= 1500}
    assert damage(fetched) == [(1001, "malformed")]


def test_text_that_is_not_utf8_breaks_its_row_alone(tmp_path: Path) -> None:
    raw = pa.array([b"a", b"\xff\xfe", b"c"])
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    fetched = read(tmp_path, "arrow", stream(pa.table({"u": text})))
    assert rows_of(fetched) == {1: {"u": "a"}, 3: {"u": "c"}}
    assert damage(fetched) == [(2, "malformed")]


def test_offsets_beyond_the_data_crash_nothing(tmp_path: Path) -> None:
    data = bytearray(stream(pa.table({"u": pa.array(["a", "b", "c"])})))
    at = data.rindex(np.array([0, 1, 2, 3], dtype=np.int32).tobytes())
    data[at : at + 16] = np.array([0, 1, 2, 1 << 30], dtype=np.int32).tobytes()
    fetched = read(tmp_path, "arrow", bytes(data))
    assert rows_of(fetched) == {1: {"u": "a"}, 2: {"u": "b"}}
    assert damage(fetched) == [(3, "malformed")]


@WRITERS
def test_a_rejected_row_is_kept_as_a_stream_of_itself(
    tmp_path: Path, fmt: str, write: Write
) -> None:
    batch = read(tmp_path, fmt, write(TABLE))[1]
    assert isinstance(batch, Columns)
    raw = raw_of_row(batch, 17)
    assert pa.ipc.open_stream(raw).read_all().to_pylist() == TABLE.slice(1017, 1).to_pylist()
    assert len(raw) < 2000


def test_bytes_of_rows_are_those_of_their_values() -> None:
    table = pa.table(
        {
            "text": ["abc", None, "ø"],
            "binary": pa.array([b"", b"12", None], pa.large_binary()),
            "number": pa.array([1, None, 3], pa.int32()),
            "list": pa.array([["a", "bc"], None, []], pa.list_(pa.string())),
            "nested": [{"a": [["xy"], ["z"]]}, {"a": None}, None],
            "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
            "code": pa.array(["long", None, "s"]).dictionary_encode(),
            "flag": [True, False, None],
        }
    )
    assert oversize(table, 1).tolist() == [3 + 4 + 3 + 3 + 9 + 4 + 1, 2 + 4 + 1, 2 + 4 + 1 + 1]
    assert oversize(table.drop_columns(["code"]), 10_000).tolist() == [0, 0, 0]


@WRITERS
@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_bytes_changed_at_random_neither_raise_nor_crash(
    tmp_path: Path, fmt: str, write: Write, data: st.DataObject
) -> None:
    whole = bytearray(write(TABLE.slice(0, 40)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for item in read(tmp_path, fmt, bytes(whole), batch_rows=25):
        assert isinstance(item, Columns | Damaged)
        if isinstance(item, Columns):
            assert raw_of_row(item, 0)
