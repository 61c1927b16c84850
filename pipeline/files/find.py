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
    found += _within(folder / source_name, suffixes)
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder).as_posix()))


def _within(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
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
            if name.endswith(suffixes) and not name.startswith(".") and path.is_file():
                yield path


def _fail(error: OSError) -> None:
    raise error
