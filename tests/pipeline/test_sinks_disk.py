"""The sink to a folder while the disk is full, and what bundles and workers that failed leave."""

import errno
import io
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.run import RunFailed
from pipeline.sinks import folder, parquet, patient
from pipeline.sinks.folder import HIDDEN, OutputError
from pipeline.sinks.parquet import Show, WriteParquet
from pipeline.sinks.patient import PatientFile
from tests.oracles import shop
from tests.pipeline.running import files_of, lines_in, run_in
from tests.pipeline.test_sinks_folder import views

SCHEMA = pa.schema([pa.field("n", pa.int64())])
MIB = 1 << 20


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient, "FULL_S", 2.0)
    monkeypatch.setattr(patient, "FIRST_S", 0.05)
    monkeypatch.setattr(patient, "MOST_S", 0.2)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    try:
        if subprocess.run(command, capture_output=True, timeout=10, check=False).returncode:
            pytest.skip("may not mount a disk here")
    except FileNotFoundError:
        pytest.skip("no mount here")
    yield place
    command = ["umount", "-l", str(place)]
    subprocess.run(command, timeout=10, check=True)


def rows(count: int) -> pa.RecordBatch:
    """Random numbers, 8 bytes each, which nothing makes smaller."""
    numbers = np.random.default_rng(count).integers(1 << 62, size=count)
    return pa.record_batch([pa.array(numbers)], schema=SCHEMA)


@pytest.fixture
def sink(disk: Path) -> Iterator[WriteParquet]:
    made = WriteParquet(str(disk), "late", SCHEMA, bounded=False)
    made.setup()
    yield made
    made.teardown()


def write(sink: WriteParquet, *batches: pa.RecordBatch) -> list[str]:
    """A bundle; gives the names of its files."""
    sink.start_bundle()
    names = [name for batch in batches for name in sink.process(batch)]
    return [*names, *(each.value for each in sink.finish_bundle())]


def hidden(disk: Path) -> list[Path]:
    return [path for path in (disk / HIDDEN).rglob("*") if path.is_file()]


def test_a_full_disk_is_waited_for_and_the_file_is_whole(
    disk: Path, sink: WriteParquet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient, "FULL_S", 20.0)
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1 << 16)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(MIB + MIB // 2))
    room = threading.Timer(1.0, ballast.unlink)
    room.start()
    started = time.monotonic()
    (name,) = write(sink, *[rows(10_000)] * 12)
    assert time.monotonic() - started > 0.9
    assert [*Show(str(disk)).process(name)] == [name]
    assert pq.read_table(disk / name).num_rows == 120_000
    assert pq.read_table(disk / name).to_batches()[0] == rows(10_000)
    assert hidden(disk) == []


def test_a_disk_that_stays_full_is_one_line_and_the_file_is_gone(
    disk: Path, sink: WriteParquet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1 << 16)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(MIB + MIB // 2))
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(OutputError, match=r"^cannot write .*/late/part-.*parquet: ") as raised:
            write(sink, *[rows(10_000)] * 12)
        assert str(raised.value).endswith("No space left on device, and waited 2 s")
        assert 1.5 < time.monotonic() - started < 10
        assert hidden(disk) == []
        assert files_of(disk, "late") == []
    ballast.unlink()
    (name,) = write(sink, *[rows(10_000)] * 12)
    assert pq.read_table(disk / HIDDEN / name).num_rows == 120_000


def test_a_run_onto_a_full_disk_is_one_line_and_shows_nothing(disk: Path) -> None:
    (disk / "ballast").write_bytes(bytes(2 * MIB - 16384))
    with pytest.raises(RunFailed, match=r"^cannot write .*No space left on device, and waited"):
        run_in(
            shop.spec_of(),
            lines_in(disk.parent / "in", views(*range(0, 600_000_000, 400_000))),
            disk / "out",
        )
    assert [path for path in (disk / "out").rglob("*.parquet") if HIDDEN not in str(path)] == []


class Full(io.FileIO):
    """A file on a disk that has room for three bytes at a time, now and then."""

    asked = 0
    errors = (None, errno.ENOSPC, None, errno.EDQUOT, errno.ENOSPC)

    def write(self, data: Any) -> int:
        error = self.errors[Full.asked % len(self.errors)]
        Full.asked += 1
        if error is not None:
            raise OSError(error, os.strerror(error))
        return super().write(bytes(data)[:3])


def test_every_byte_is_written_once_however_little_room_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient, "FIRST_S", 0.0)
    monkeypatch.setattr("io.FileIO", Full)
    with PatientFile(tmp_path / "new" / "a") as file:
        assert file.write(b"0123456789") == 10
        assert file.write(memoryview(b"abcd")) == 4
        assert file.write(b"") == 0
    assert (tmp_path / "new" / "a").read_bytes() == b"0123456789abcd"


def test_what_no_room_mends_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Full, "errors", (errno.EFBIG,))
    monkeypatch.setattr("io.FileIO", Full)
    started = time.monotonic()
    with PatientFile(tmp_path / "a") as file, pytest.raises(OutputError, match=r"File too large$"):
        file.write(b"0123456789")
    with pytest.raises(OutputError, match=r"Not a directory|File exists"):
        PatientFile(tmp_path / "a" / "b")
    assert time.monotonic() - started < 1


def test_a_bundle_that_failed_elsewhere_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1)
    sink = WriteParquet(str(tmp_path), "late", SCHEMA, bounded=False)
    sink.setup()
    sink.start_bundle()
    assert [*sink.process(rows(10))] == []
    assert len(hidden(tmp_path)) == 1
    (name,) = write(sink, rows(5), rows(7))
    assert hidden(tmp_path) == [tmp_path / HIDDEN / name]
    assert pq.read_table(tmp_path / HIDDEN / name).num_rows == 12
    sink.start_bundle()
    assert [*sink.process(rows(10))] == []
    sink.teardown()
    assert hidden(tmp_path) == [tmp_path / HIDDEN / name]


@pytest.mark.parametrize("bounded", [False, True])
def test_what_killed_workers_left_goes_when_nobody_can_be_writing_it(
    tmp_path: Path, bounded: bool
) -> None:
    place = tmp_path / HIDDEN / "late"
    place.mkdir(parents=True)
    for name, age in (("part-old", folder.ORPHAN_S + 60), ("part-young", folder.ORPHAN_S - 60)):
        file = place / f"{name}.parquet"
        file.write_bytes(b"half")
        os.utime(file, (time.time() - age,) * 2)
    sink = WriteParquet(str(tmp_path), "late", SCHEMA, bounded=bounded)
    sink.setup()
    sink.teardown()
    left = {path.name for path in hidden(tmp_path)}
    assert left == {"part-young.parquet", *(["part-old.parquet"] if bounded else [])}
