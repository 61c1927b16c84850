"""Lines of blocks, compressed or not, whatever the sizes of the blocks."""

import gzip
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.files.blocks import CutShortError
from pipeline.files.lines import Cut, Huge, Run, split_lines
from pipeline.files.read import read_file
from schemas.fetched import Damaged, Fetched, Texts
from schemas.sources import Source

SOURCE = Source.model_validate({"user": "u", "time": "t"})
PIECES = st.sampled_from([b"\n", b"\r", b"\r\n", b"", b" ", b"ab", b'"', b"x" * 9, b"\xc3\xa9"])


def blocks_of(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in [*sizes, len(data) + 1]:
        yield data[at : at + size]
        at += size


def oracle(data: bytes, limit: int) -> list[tuple[int, bytes, int]]:
    """(number, first bytes, size) of each line."""
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    bare = [line.removesuffix(b"\r") for line in lines]
    return [(i, line[:limit], len(line)) for i, line in enumerate(bare, 1)]


@given(
    st.lists(PIECES, max_size=30).map(b"".join),
    st.lists(st.integers(0, 12), max_size=20),
    st.integers(1, 12) | st.just(10_000),
)
def test_blocks_of_any_size_give_the_same_lines(data: bytes, sizes: list[int], limit: int) -> None:
    found = []
    for item in split_lines(blocks_of(data, sizes), limit):
        if isinstance(item, Run):
            assert all(len(text) <= limit for text in item.texts)
            found += [(item.first + i, text, len(text)) for i, text in enumerate(item.texts)]
        else:
            assert isinstance(item, Huge)
            assert item.size > limit
            assert item.blank == data.split(b"\n")[item.line - 1].isspace()
            found.append((item.line, item.head, item.size))
    assert found == oracle(data, limit)


def test_a_line_over_the_limit_counts_its_quotes() -> None:
    items = list(split_lines([b'a"b', b'"c"' * 9, b"\nd"], 4))
    assert items == [Huge(1, b'a"b"', 30, 19), Run(2, [b"d"], 2)]


def test_a_cut_keeps_the_unfinished_line() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"a\nbc"
        raise CutShortError("no more")

    assert list(split_lines(blocks(), 100)) == [Run(1, [b"a"], 2), Cut(2, b"bc", "no more")]


def read(path: Path, batch_rows: int = 1000, record_bytes: int = 1_000_000) -> list[Fetched]:
    return list(read_file("views", SOURCE, path, path.parent, batch_rows, record_bytes))


def numbered(fetched: list[Fetched]) -> list[tuple[int, bytes]]:
    rows = []
    for batch in fetched:
        if isinstance(batch, Texts):
            assert batch.origin.line is not None
            rows += list(zip(batch.origin.line.tolist(), batch.texts, strict=True))
    return rows


def damaged(fetched: list[Fetched]) -> list[Damaged]:
    return [item for item in fetched if isinstance(item, Damaged)]


def line_of(item: Damaged) -> int:
    assert item.origin.line is not None
    return int(item.origin.line[0])


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


ROWS = [b'{"n":%d,"x":"%s"}' % (i, os.urandom(20).hex().encode()) for i in range(5000)]
PLAIN = b"\n".join(ROWS) + b"\n"


def test_a_blank_line_over_the_limit_is_skipped(tmp_path: Path) -> None:
    data = b"{}\n" + b" " * 3_000_000 + b"\r\n" + b"\t" * 30 + b"x\n" + b" " * 50 + b"\n{}"
    fetched = read(write(tmp_path / "views.jsonl", data), record_bytes=20)
    assert numbered(fetched) == [(1, b"{}"), (5, b"{}")]
    assert [line_of(item) for item in damaged(fetched)] == [3]


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_json_lines_come_back_with_their_numbers(tmp_path: Path, packed: str) -> None:
    # Several members, and frames, one after another are one file.
    parts = PLAIN[:70_000], PLAIN[70_000:]
    data = PLAIN
    if packed:
        compress = gzip.compress if packed == ".gz" else zstandard.compress
        data = b"".join(compress(part) for part in parts)
    fetched = read(write(tmp_path / f"views.jsonl{packed}", data), batch_rows=700)
    assert numbered(fetched) == list(enumerate(ROWS, 1))
    assert [len(item.texts) for item in fetched if isinstance(item, Texts)] == [700] * 7 + [100]
    assert {item.origin.file for item in fetched} == {f"views.jsonl{packed}"}


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbf{"a":1}\r\n\r\n  \t\n{"a":2}\n\n{"a":3}\r'
    fetched = read(write(tmp_path / "views.jsonl", data))
    assert numbered(fetched) == [(1, b'{"a":1}'), (4, b'{"a":2}'), (6, b'{"a":3}')]


@pytest.mark.parametrize("name", ["views.jsonl", "views.jsonl.gz", "views.jsonl.zst"])
def test_an_empty_file_has_no_records(tmp_path: Path, name: str) -> None:
    assert read(write(tmp_path / name, b"")) == []


def test_a_long_line_is_damaged_alone(tmp_path: Path) -> None:
    data = b"a\n" + b"x" * 3_000_000 + b"\r\nb\n"
    fetched = read(write(tmp_path / "views.jsonl", data))
    (bad,) = damaged(fetched)
    assert (bad.reason, line_of(bad), bad.raw) == ("too_large", 2, b"x" * 1_000_000)
    assert "3000000" in bad.detail
    assert numbered(fetched) == [(1, b"a"), (3, b"b")]


@pytest.mark.parametrize("packed", ["gz", "zst"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_stream_gives_what_was_readable(
    tmp_path: Path, packed: str, kept: float
) -> None:
    data = gzip.compress(PLAIN) if packed == "gz" else zstandard.compress(PLAIN)
    fetched = read(write(tmp_path / f"v.jsonl.{packed}", data[: int(len(data) * kept)]))
    rows = numbered(fetched)
    assert rows == list(enumerate(ROWS, 1))[: len(rows)]
    (bad,) = damaged(fetched)
    assert (bad.reason, line_of(bad)) == ("malformed", len(rows) + 1)
    assert "cut short" in bad.detail
    assert (PLAIN.split(b"\n")[len(rows)]).startswith(bad.raw)
    if packed == "gz":
        whole = zlib.decompressobj(31).decompress(data[: int(len(data) * kept)])
        assert len(rows) == whole.count(b"\n")


def test_a_corrupt_gzip_gives_all_before_the_wrong_byte(tmp_path: Path) -> None:
    first, second = gzip.compress(PLAIN), gzip.compress(PLAIN)
    broken = first + b"\x1f\x8b\x08\x09" + second[4:]
    fetched = read(write(tmp_path / "v.jsonl.gz", broken))
    assert numbered(fetched) == list(enumerate(ROWS, 1))
    (bad,) = damaged(fetched)
    assert "gzip" in bad.detail


def test_a_wrong_checksum_is_damage(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(PLAIN))
    data[-6] ^= 1
    fetched = read(write(tmp_path / "v.jsonl.gz", bytes(data)))
    assert numbered(fetched) == list(enumerate(ROWS, 1))
    assert "data check" in damaged(fetched)[0].detail


def test_a_corrupt_zstd_frame_leaves_the_frames_before(tmp_path: Path) -> None:
    data = zstandard.compress(PLAIN) + b"this is no frame"
    fetched = read(write(tmp_path / "v.jsonl.zst", data))
    assert numbered(fetched) == list(enumerate(ROWS, 1))
    assert [item.reason for item in damaged(fetched)] == ["malformed"]


BOMB = """
import resource, sys
from pathlib import Path
from pipeline.files import read_file
from schemas.sources import Source
path = Path(sys.argv[1])
source = Source.model_validate({"user": "u", "time": "t", "format": sys.argv[2]})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(bad,) = read_file("views", source, path, path.parent, 1000, 1_000_000)
assert (bad.reason, len(bad.raw)) == ("too_large", 1_000_000), bad
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("packed", ["gz", "zst"])
@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_bomb_of_zeros_takes_little_memory(tmp_path: Path, packed: str, kind: str) -> None:
    path = tmp_path / f"views.{kind}.{packed}"
    zeros = bytes(1 << 20)
    with gzip.open(path, "wb") if packed == "gz" else zstandard.open(path, "wb") as file:
        for _ in range(200):
            file.write(zeros)
    out = subprocess.run(
        [sys.executable, "-c", BOMB, str(path), kind], check=True, capture_output=True, timeout=60
    )
    grown_kib = int(out.stdout)
    assert grown_kib < 100 << 10
