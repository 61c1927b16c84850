"""Record batches as Parquet files, one or more for each bundle, never seen half-written."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.sinks.folder import HIDDEN, publish, remove_orphans
from pipeline.sinks.parquet_file import HiddenFile
from transforms.measures import observe

FILE_BYTES = 256 << 20
GROUP_BYTES = 16 << 20


class WriteFolder(beam.PTransform):  # type: ignore[misc]
    """Writes the outputs of a run, a dict by name, into a folder.

    `bounded`: all at the end, in the stead of what was there; else file by file as they come.
    """

    def __init__(self, folder: str, schemas: dict[str, pa.Schema], bounded: bool) -> None:
        super().__init__()
        self._folder = folder
        self._schemas = schemas
        self._bounded = bounded

    def expand(self, outputs: Any) -> Any:
        """The names of the files, where the input is bounded after they are in their places."""
        files = [
            rows
            | f"Write {name}"
            >> beam.ParDo(WriteParquet(self._folder, name, self._schemas[name], self._bounded))
            for name, rows in outputs.items()
        ]
        written = files | "Files" >> beam.Flatten()
        if not self._bounded:
            return written | "Show" >> beam.ParDo(Show(self._folder))
        return (
            written.pipeline
            | "End" >> beam.Create([None])
            | "Publish"
            >> beam.ParDo(Publish(self._folder, self._schemas), beam.pvalue.AsList(written))
        )


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(str)
class WriteParquet(beam.DoFn):  # type: ignore[misc]
    """Writes batches under the hidden folder and gives the names of the files, as OUTPUT/FILE."""

    def __init__(self, folder: str, name: str, schema: pa.Schema, bounded: bool) -> None:
        self._folder = folder
        self._name = name
        self._schema = schema
        self._bounded = bounded

    def setup(self) -> None:
        """A thread that compresses while the next batch is made."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._file: HiddenFile | None = None
        if not self._bounded:
            remove_orphans(Path(self._folder), self._name)

    def teardown(self) -> None:
        """Removes what is not complete, and ends the thread."""
        self._abandon()
        self._thread.shutdown()

    def start_bundle(self) -> None:
        """Removes what a bundle that failed left, wherever it failed."""
        self._abandon()
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0

    def process(self, batch: pa.RecordBatch) -> Iterator[str]:
        """Takes a batch; small ones share a row group."""
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes >= GROUP_BYTES:
            self._write()
        if self._file is not None and self._file.size >= FILE_BYTES:
            yield self._close(self._file)

    def finish_bundle(self) -> Iterator[Any]:
        """Completes the bundle's file."""
        if self._held:
            self._write()
        if self._file is not None:
            window = GlobalWindow()
            yield WindowedValue(self._close(self._file), window.max_timestamp(), [window])

    def _write(self) -> None:
        if self._file is None:
            self._file = HiddenFile(Path(self._folder), self._name, self._schema, self._thread)
        self._file.write(self._held)
        self._held, self._held_bytes = [], 0

    def _close(self, file: HiddenFile) -> str:
        file.close()
        self._file = None
        observe("stage_us", file.us, f"write_{self._name}")
        return file.name

    def _abandon(self) -> None:
        if self._file is not None:
            self._file.abandon()
            self._file = None


class Publish(beam.DoFn):  # type: ignore[misc]
    """Moves all files of a bounded run to their places."""

    def __init__(self, folder: str, schemas: dict[str, pa.Schema]) -> None:
        self._folder = folder
        self._schemas = schemas

    def process(self, _: None, files: list[str]) -> Iterator[str]:
        """The names of the files, in their places."""
        publish(Path(self._folder), files, self._schemas)
        yield from files


class Show(beam.DoFn):  # type: ignore[misc]
    """Moves one file of an unbounded run to its place."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def process(self, file: str) -> Iterator[str]:
        """The name of the file; a retried bundle finds it moved already."""
        place = self._folder / file
        place.parent.mkdir(parents=True, exist_ok=True)
        hidden = self._folder / HIDDEN / file
        if hidden.exists() or not place.exists():
            os.replace(hidden, place)
        yield file
