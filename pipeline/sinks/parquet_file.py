"""One Parquet file under the hidden folder, written in a thread: it is whole, or it is gone."""

import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sinks.folder import COMPRESSION, HIDDEN
from pipeline.sinks.patient import PatientFile
from transforms.measures import Stopwatch

WRITE_S = 600.0


class HiddenFile:
    """A file of an output that is open; `name` is OUTPUT/FILE, `us` the time that writing took.

    Whatever fails removes it. Raises OutputError where there is no room.
    """

    def __init__(self, folder: Path, output: str, schema: pa.Schema, thread: Executor) -> None:
        self.name = f"{output}/part-{uuid.uuid4().hex}.parquet"
        self.us = 0
        self._path = folder / HIDDEN / self.name
        self._schema = schema
        self._thread = thread
        self._writing: deque[Future[int]] = deque()
        self._file = PatientFile(self._path)
        self._writer: Any = None
        with self._or_gone():
            self._writer = pq.ParquetWriter(
                self._file, schema, compression=COMPRESSION, use_dictionary=_coded(schema)
            )

    @property
    def size(self) -> int:
        """The bytes on the disk."""
        return self._path.stat().st_size

    def write(self, batches: list[pa.RecordBatch]) -> None:
        """Gives a row group to the thread."""
        rows = pa.Table.from_batches(batches).cast(self._schema)
        with self._or_gone():
            self._wait(leave=1)  # so that memory holds two row groups at most
            self._writing.append(self._thread.submit(_timed, self._writer, rows))

    def close(self) -> None:
        """Completes the file."""
        with self._or_gone():
            self._wait(leave=0)
            self._writer.close()
            self._file.close()

    def abandon(self) -> None:
        """Removes a file that is not complete; nothing of it is written any more."""
        for write in self._writing:
            write.cancel()
        if self._writer is not None:
            self._writer.is_open = False  # it would write an end, and wait for room for that
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _wait(self, leave: int) -> None:
        while len(self._writing) > leave:
            self.us += self._writing.popleft().result(timeout=WRITE_S)

    @contextmanager
    def _or_gone(self) -> Iterator[None]:
        done = False
        try:
            yield
            done = True
        finally:
            if not done:
                self.abandon()


def _coded(schema: pa.Schema) -> list[str]:
    """The columns worth a dictionary: ids and times of long histories are not."""
    return [field.name for field in schema if not pa.types.is_nested(field.type)]


def _timed(writer: Any, rows: pa.Table) -> int:
    """Writes a row group, and gives the µs that it took."""
    with Stopwatch() as watch:
        writer.write_table(rows)
    return watch.us
