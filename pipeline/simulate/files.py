"""The platform's records as files: a folder that `phia run` takes as its input."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Literal

import polars as pl
import pyarrow as pa

from pipeline.simulate.arrow import table_of
from pipeline.simulate.fates import FATE, FATES, SOURCES, TEXT_DAMAGES, has_fate
from pipeline.simulate.platform import Platform
from pipeline.simulate.stream import Frames, arrivals
from pipeline.simulate.texts import texts
from pipeline.simulate.truth import NAME, Truth

Form = Literal["json", "arrow"]
Progress = Callable[[int, float], None]
"""Told how many records there are by now, and what share of the whole that is."""

SUFFIX: dict[Form, str] = {"json": "jsonl", "arrow": "arrow"}
_HIDDEN = ".simulating"  # readers pass over hidden folders: nothing half written is ever read


def write_files(
    platform: Platform,
    folder: Path,
    form: Form = "json",
    replace: bool = False,
    progress: Progress | None = None,
) -> Truth:
    """Write SOURCE.jsonl or SOURCE.arrow for each source, in order of arrival, and simulated.json.

    Texts that are broken as such are left out of Arrow files, and counted. Raises FileExistsError
    where the folder holds such files already, without `replace`.
    """
    _clear(folder, replace)
    hidden = folder / _HIDDEN
    hidden.mkdir()
    truth = Truth(platform)
    paths = {name: hidden / f"{name}.{SUFFIX[form]}" for name in SOURCES}
    try:
        if form == "json":
            _write_json(paths, truth, progress)
        else:
            _write_arrow(paths, truth, progress)
        truth.write(hidden / NAME)
        for path in (*paths.values(), hidden / NAME):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(hidden)
    return truth


def _clear(folder: Path, replace: bool) -> None:
    """Make the folder, and take away what an earlier simulation left there."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / _HIDDEN, ignore_errors=True)
    ours = [folder / f"{name}.{suffix}" for name in SOURCES for suffix in SUFFIX.values()]
    for path in (*ours, folder / NAME):
        if path.exists() and not replace:
            raise FileExistsError(f"{path} is there already; replace it, or name another folder")
        path.unlink(missing_ok=True)


def _write_json(paths: dict[str, Path], truth: Truth, progress: Progress | None) -> None:
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {
            name: stack.enter_context(path.open("wb")) for name, path in paths.items()
        }
        for part in arrivals(truth.platform):
            for name, frame in part.frames.items():
                lines = texts(frame, SOURCES[name], truth.platform.record_bytes)
                files[name].write(b"".join(line + b"\n" for line in lines))
            _note(truth, part.frames, part.done, progress)


def _write_arrow(paths: dict[str, Path], truth: Truth, progress: Progress | None) -> None:
    with ExitStack() as stack:
        writers: dict[str, pa.ipc.RecordBatchFileWriter] = {}
        for part in arrivals(truth.platform):
            for name, frame in part.frames.items():
                table = table_of(frame)
                if name not in writers:
                    writer = pa.ipc.new_file(str(paths[name]), table.schema)
                    writers[name] = stack.enter_context(writer)
                writers[name].write_table(table)
                truth.left_out.update(_texts_only(frame))
            _note(truth, part.frames, part.done, progress)


def _texts_only(frame: pl.DataFrame) -> Counter[str]:
    broken = frame.filter(has_fate(*TEXT_DAMAGES))
    return Counter(FATES[number] for number in broken[FATE].to_list())


def _note(truth: Truth, frames: Frames, done: float, progress: Progress | None) -> None:
    truth.count(frames)
    if progress is not None:
        progress(truth.records(), done)
