"""Which files of an input folder belong to a source."""

import os
from collections.abc import Iterator
from pathlib import Path

_COMPRESSED = ("", ".gz", ".zst")

SUFFIXES: dict[str, tuple[str, ...]] = {
    "json": tuple(text + packed for text in (".jsonl", ".json") for packed in _COMPRESSED),
    "csv": tuple(".csv" + packed for packed in _COMPRESSED),
    "parquet": (".parquet",),
    "arrow": (".arrow", ".feather", ".ipc"),
    "avro": (".avro",),
}


def find_files(folder: Path, source_name: str, fmt: str) -> list[Path]:
    """The files of a source, in the order of their relative paths' UTF-8 bytes.

    They are `NAME.EXT` in `folder`, and the files of that format at any depth in `folder/NAME/`
    that are not hidden (no name on the way starts with a dot). Links are followed; a folder is
    entered once, so that a loop of links ends. Raises OSError where a folder cannot be listed.
    """
    suffixes = SUFFIXES[fmt]
    direct = (folder / (source_name + suffix) for suffix in suffixes)
    found = [path for path in direct if path.is_file()]
    found += (path for path in _within(folder / source_name) if path.name.endswith(suffixes))
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder).as_posix()))


def passed_over(folder: Path, source_name: str, fmt: str) -> list[str]:
    """The files in a source's own folder that are not read since their names end otherwise, as
    paths relative to `folder`. Names with a _ before them, as _SUCCESS, are of tools."""
    return sorted(
        str(path.relative_to(folder))
        for path in _within(folder / source_name)
        if not path.name.endswith(SUFFIXES[fmt]) and not path.name.startswith("_")
    )


def _within(folder: Path) -> Iterator[Path]:
    """The files at any depth that are not hidden."""
    if not folder.is_dir():
        return
    entered: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, onerror=_fail, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _fail(error: OSError) -> None:
    raise error
