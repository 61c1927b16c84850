"""CSV: the csv module's rows, and what damage costs."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.files import read_file, read_message
from schemas.fetched import Columns, Damaged, Fetched
from schemas.sources import Source
from transforms.core.decode.raw import raw_of_row

SOURCE = Source.model_validate({"user": "u", "time": "t", "format": "csv"})


def read(
    data: bytes,
    batch_rows: int = 1000,
    record_bytes: int = 1_000_000,
    columns: set[str] | None = None,
) -> list[Fetched]:
    return read_message(
        "views",
        SOURCE,
        data,
        partition=1,
        offset=2,
        timestamp=3,
        batch_rows=batch_rows,
        record_bytes=record_bytes,
        columns=columns,
    )


def read_lines(path: Path, data: bytes, record_bytes: int = 1_000_000) -> list[Fetched]:
    path.write_bytes(data)
    return list(read_file("views", SOURCE, path, path.parent, 1000, record_bytes))


def rows_of(fetched: list[Fetched]) -> list[dict[str, Any]]:
    return [row for item in fetched if isinstance(item, Columns) for row in item.table.to_pylist()]


def lines_of(fetched: list[Fetched]) -> list[int]:
    lines: list[int] = []
    for item in fetched:
        if isinstance(item, Columns) and item.origin.line is not None:
            lines += item.origin.line.tolist()
    return lines


def damage(fetched: list[Fetched]) -> list[tuple[int, str, bytes]]:
    found = []
    for item in fetched:
        if isinstance(item, Damaged):
            assert item.origin.line is not None
            found.append((int(item.origin.line[0]), item.reason, item.raw))
    return found


def test_rows_keep_their_lines_and_numbers(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbfu,t\r\na,1\r\n\r\n"b ""x""\r\nc",2\r\n"",3\r\nd,4'
    (batch,) = read_lines(tmp_path / "views.csv", data)
    assert isinstance(batch, Columns)
    assert batch.table.to_pylist() == [
        {"u": "a", "t": "1"},
        {"u": 'b "x"\r\nc', "t": "2"},
        {"u": None, "t": "3"},
        {"u": "d", "t": "4"},
    ]
    assert lines_of([batch]) == [2, 4, 6, 7]
    raw = [raw_of_row(batch, i) for i in range(4)]
    assert raw == [b"a,1", b'"b ""x""\r\nc",2', b'"",3', b"d,4"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"only", "malformed"),
        (b"a,b,c", "malformed"),
        (b"a,\0", "malformed"),
        (b"a,\xff", "malformed"),
        (b"a\rb,c", "malformed"),
        (b'"a\n\xff",b', "malformed"),
        (b'"a\n\0",b', "malformed"),
        (b"a," + b"x" * 100, "too_large"),
        (b'"' + b"x\n" * 60 + b'",b', "too_large"),
        (b'a,"' + b"x" * 300 + b'\n",b', "too_large"),
    ],
)
def test_a_bad_row_is_damaged_alone(tmp_path: Path, bad: bytes, reason: str) -> None:
    data = b"u,t\n" + b"a,1\n" * 3 + bad + b"\n" + b"b,2\n" * 3
    fetched = read_lines(tmp_path / "views.csv", data, record_bytes=100)
    assert rows_of(fetched) == [{"u": "a", "t": "1"}] * 3 + [{"u": "b", "t": "2"}] * 3
    after = 5 + bad.count(b"\n") + 1
    assert lines_of(fetched) == [2, 3, 4, after, after + 1, after + 2]
    ((line, found, raw),) = damage(fetched)
    assert (line, found) == (5, reason)
    assert bad.startswith(raw)
    assert raw == bad or reason == "too_large"


def test_a_quote_never_closed_costs_one_line(tmp_path: Path) -> None:
    data = b'u,t\na,1\nb,"2\nc,3\nd,4\n'
    fetched = read_lines(tmp_path / "views.csv", data)
    assert [row["u"] for row in rows_of(fetched)] == ["a", "c", "d"]
    assert lines_of(fetched) == [2, 4, 5]
    assert damage(fetched)[0][:2] == (3, "malformed")


def test_an_open_quote_over_the_limit_still_gives_the_lines_after_it(tmp_path: Path) -> None:
    data = b'u,t\nb,"2\n' + b"c,3\n" * 1000
    fetched = read_lines(tmp_path / "views.csv", data, record_bytes=100)
    assert len(rows_of(fetched)) == 1000
    assert [found[:2] for found in damage(fetched)] == [(2, "too_large")]


@pytest.mark.parametrize(
    "data", [b"u,u\na,1\n", b"u,\na,1\n", b'"u,t\na,1\n', b"u\xff,t\na,1\n", b"u\0,t\na,1\n"]
)
def test_a_bad_header_damages_the_file_once(tmp_path: Path, data: bytes) -> None:
    fetched = read_lines(tmp_path / "views.csv", data)
    assert [found[:2] for found in damage(fetched)] == [(1, "malformed")]
    assert len(fetched) == 1


@pytest.mark.parametrize("data", [b"", b"\n \n", b"u,t\n", b"u,t"])
def test_without_rows_there_is_nothing(data: bytes) -> None:
    assert read(data) == []


def test_a_cell_beyond_the_modules_own_limit_is_read() -> None:
    (batch,) = read(b"u,t\na," + b"x" * 500_000 + b"\n")
    assert isinstance(batch, Columns)
    assert len(batch.table["t"][0].as_py()) == 500_000


def test_batches_columns_and_origin() -> None:
    fetched = read(b"u,t,v\n" + b"a,1,2\n" * 25, batch_rows=10, columns={"t", "absent"})
    assert [item.table.num_rows for item in fetched if isinstance(item, Columns)] == [10, 10, 5]
    for item in fetched:
        assert isinstance(item, Columns)
        assert item.table.column_names == ["t"]
        origin = item.origin
        assert origin.file is None
        assert origin.line is None
        assert origin.partition is not None
        assert origin.offset is not None
        assert origin.timestamp is not None
        places = (origin.partition, origin.offset, origin.timestamp)
        assert [place.tolist() for place in places] == [
            [number] * item.table.num_rows for number in (1, 2, 3)
        ]


CELL = st.text(st.sampled_from('a,"\n\r ;é'), max_size=6)


@given(st.lists(st.tuples(CELL, CELL), max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_what_the_csv_module_writes_comes_back(rows: list[tuple[str, str]], end: str) -> None:
    out = io.StringIO(newline="")
    # With line feeds alone as line ends the module does not quote a carriage return by itself.
    minimal, every = csv.writer(out), csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer = every if end == "\n" else minimal
    writer.writerows([("u", "t"), *rows])
    fetched = read(out.getvalue().encode(), batch_rows=5)
    wanted = [{"u": u or None, "t": t or None} for u, t in rows]
    assert rows_of(fetched) == wanted
    assert not any(isinstance(item, Damaged) for item in fetched)


def test_a_header_of_very_many_names_is_read_once(tmp_path: Path) -> None:
    names = ",".join(f"c{place}" for place in range(120_000))  # comparing each pair takes minutes
    (bad,) = read_lines(tmp_path / "views.csv", f"u,t,{names}\na,1".encode())
    assert isinstance(bad, Damaged)
    assert bad.detail == "2 cells where the header has 120002"
