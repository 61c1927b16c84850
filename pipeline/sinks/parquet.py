"""Record batches as Parquet files, one or more for each bundle, never seen half-written."""

import os
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.sinks.folder import COMPRESSION, HIDDEN, publish

FILE_BYTES = 256 << 20
GROUP_BYTES = 16 << 20
WRITE_S = 600.0


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
            | f"Write {name}" >> beam.ParDo(WriteParquet(self._folder, name, self._schemas[name]))
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

    def __init__(self, folder: str, name: str, schema: pa.Schema) -> None:
        self._folder = folder
        self._name = name
        self._schema = schema

    def setup(self) -> None:
        """A thread that compresses while the next batch is made."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")

    def teardown(self) -> None:
        """Ends the thread."""
        self._thread.shutdown()

    def start_bundle(self) -> None:
        """Nothing is open yet."""
        self._file: str | None = None
        self._writing: deque[Future[None]] = deque()
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0

    def process(self, batch: pa.RecordBatch) -> Iterator[str]:
        """Takes a batch; small ones share a row group."""
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes >= GROUP_BYTES:
            self._write()
        if self._file is not None and self._path().stat().st_size >= FILE_BYTES:
            yield self._close()

    def finish_bundle(self) -> Iterator[Any]:
        """Completes the bundle's file."""
        if self._held:
            self._write()
        if self._file is not None:
            window = GlobalWindow()
            yield WindowedValue(self._close(), window.max_timestamp(), [window])

    def _path(self) -> Path:
        return Path(self._folder, HIDDEN, str(self._file))

    def _write(self) -> None:
        if self._file is None:
            self._file = f"{self._name}/part-{uuid.uuid4().hex}.parquet"
            self._path().parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                self._path(),
                self._schema,
                compression=COMPRESSION,
                use_dictionary=_coded(self._schema),
            )
        rows = pa.Table.from_batches(self._held).cast(self._schema)
        self._held, self._held_bytes = [], 0
        self._wait(leave=1)  # so that memory holds two row groups at most
        self._writing.append(self._thread.submit(self._writer.write_table, rows))

    def _wait(self, leave: int) -> None:
        while len(self._writing) > leave:
            self._writing.popleft().result(timeout=WRITE_S)

    def _close(self) -> str:
        self._wait(leave=0)
        self._writer.close()
        name, self._file = str(self._file), None
        return name


def _coded(schema: pa.Schema) -> list[str]:
    """The columns worth a dictionary: ids and times of long histories are not."""
    return [field.name for field in schema if not pa.types.is_nested(field.type)]


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
