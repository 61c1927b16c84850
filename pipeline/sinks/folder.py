"""The folder that a run writes: what it holds, and how it comes to hold it whole.

Files are written under a hidden folder and moved to their places when they are complete: in a
bounded run all of them at its end, else each when its bundle ends. A reader of `sequences/` never
sees a half-written file, nor a part of a failed bounded run.
"""

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.failures import UsageError
from schemas.load import SPEC_FILE, spec_text
from schemas.spec import Spec

HIDDEN = ".phia-writing"
COMPRESSION = "zstd"
ORPHAN_S = 86_400.0  # no bundle lasts a day, nor do clocks that share a folder differ by one


class OutputError(UsageError):
    """An output that cannot be written to."""


def holds_output(folder: Path, names: Iterable[str]) -> bool:
    """Whether a folder has files of a run in it already."""
    return any(next((folder / name).glob("*.parquet"), None) for name in names)


def check_output(folder: Path, names: Iterable[str], replace: bool) -> None:
    """Raises OutputError where a run must not write: another's output, or no folder."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; the output must be a folder, or kafka://…/TOPIC")
    if not replace and holds_output(folder, names):
        raise OutputError(f"{folder} holds a run's output already; say --replace to replace it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error


def remove_orphans(folder: Path, name: str) -> None:
    """Removes hidden files of an output that no bundle can be writing any more: their workers were
    killed, and what they held came again under other names."""
    before = time.time() - ORPHAN_S
    for file in (folder / HIDDEN / name).glob("part-*.parquet"):
        with suppress(FileNotFoundError):  # another worker removes them, too
            if file.stat().st_mtime < before:
                file.unlink()


def write_empty(folder: Path, schemas: dict[str, pa.Schema]) -> None:
    """Gives each output that has no file one without rows, so that readers find its schema."""
    for name, schema in schemas.items():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        if next(place.glob("*.parquet"), None) is None:
            hidden = folder / HIDDEN / f"{name}-empty.parquet"
            hidden.parent.mkdir(parents=True, exist_ok=True)
            with hidden.open("wb") as file:  # a path with a colon would be a URI to Arrow
                pq.write_table(schema.empty_table(), file, compression=COMPRESSION)
            os.replace(hidden, place / "part-empty.parquet")


def write_spec(folder: Path, spec: Spec) -> None:
    """Puts the spec beside what it made, whole or not at all: without it nobody can say what the
    ids of actions and features mean."""
    hidden = folder / HIDDEN / SPEC_FILE
    hidden.parent.mkdir(parents=True, exist_ok=True)
    hidden.write_text(spec_text(spec), encoding="utf-8")
    os.replace(hidden, folder / SPEC_FILE)


def publish(folder: Path, files: Iterable[str], schemas: dict[str, pa.Schema]) -> None:
    """Moves the written files (OUTPUT/NAME under the hidden folder) to their places, in the stead
    of what was there, and removes the hidden folder. Done again after it was cut short, it goes
    on where it was."""
    files = set(files)
    for name in schemas:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for old in (folder / name).glob("*.parquet"):
            if f"{name}/{old.name}" not in files:
                old.unlink()
    for file in files:
        if (folder / HIDDEN / file).exists():
            os.replace(folder / HIDDEN / file, folder / file)
    write_empty(folder, schemas)
    shutil.rmtree(folder / HIDDEN, ignore_errors=True)
