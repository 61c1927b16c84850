"""Which files belong to a source."""

import os
from pathlib import Path

import pytest

from pipeline.files import find_files


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(folder: Path, fmt: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in find_files(folder, "views", fmt)]


def test_files_of_the_name_and_of_the_folder_in_byte_order(tmp_path: Path) -> None:
    touch(tmp_path, "views.jsonl", "views.jsonl.gz", "views.csv", "viewsx.jsonl", "x.views.jsonl")
    touch(tmp_path, "views/b.jsonl.zst", "views/a/z.json", "views/é.json.gz", "views/_c/x.jsonl")
    touch(tmp_path, "views/.b.jsonl", "views/.a/z.json", "views/b.txt", "other/a.jsonl")
    touch(tmp_path, "views/Z.jsonl", "views/folder.jsonl/note.txt")
    assert found(tmp_path, "json") == [
        "views.jsonl",
        "views.jsonl.gz",
        "views/Z.jsonl",
        "views/_c/x.jsonl",
        "views/a/z.json",
        "views/b.jsonl.zst",
        "views/é.json.gz",
    ]
    assert found(tmp_path, "csv") == ["views.csv"]


@pytest.mark.parametrize(
    ("fmt", "names"),
    [
        ("csv", ["a.csv", "a.csv.gz", "a.csv.zst"]),
        ("parquet", ["a.parquet", "a.snappy.parquet"]),
        ("arrow", ["a.arrow", "a.feather", "a.ipc"]),
        ("avro", ["a.avro"]),
        ("json", ["a.json", "a.json.gz", "a.json.zst", "a.jsonl", "a.jsonl.gz", "a.jsonl.zst"]),
    ],
)
def test_each_format_has_its_names(tmp_path: Path, fmt: str, names: list[str]) -> None:
    touch(tmp_path / "views", *names, "a.gz", "a.txt", "a.parquet.crc", "a.orc")
    assert found(tmp_path, fmt) == [f"views/{name}" for name in names]


def test_loops_of_links_end_and_pipes_are_no_files(tmp_path: Path) -> None:
    touch(tmp_path, "views/a/b.jsonl", "elsewhere/c.jsonl")
    (tmp_path / "views" / "a" / "loop").symlink_to(tmp_path / "views", target_is_directory=True)
    (tmp_path / "views" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "views" / "d.jsonl").symlink_to("d.jsonl")
    os.mkfifo(tmp_path / "views" / "pipe.jsonl")
    assert found(tmp_path, "json") == ["views/a/b.jsonl", "views/link/c.jsonl"]


def test_a_source_without_files_has_none(tmp_path: Path) -> None:
    assert found(tmp_path, "json") == []
