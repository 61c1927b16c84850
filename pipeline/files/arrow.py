"""Arrow IPC files and streams to Columns."""

import struct
from collections.abc import Iterator

import pyarrow as pa

from pipeline.files.inputs import MALFORMED, Input, Reading
from pipeline.files.tables import BROKEN, deliver, gather, raise_if_device, wanted_once
from pipeline.files.weights import VALUE_BYTES
from schemas.fetched import Columns, Damaged
from schemas.ipc_sizes import claims

_MAGIC = b"ARROW1"
_FIRST_MESSAGE = 8
"""Where the first message of an Arrow file lies: from there on it is a stream."""


def read_arrow(source: Input, reading: Reading) -> Iterator[Columns | Damaged]:
    """Rows of an IPC file (also Feather 2) or stream, told by its magic, numbered from 1.

    What is neither is Damaged once; of what is cut short, the whole batches before go through.
    Of a message, which its topic may not keep, the Damaged has the bytes in either case.
    """
    if source.size() == 0:
        yield source.damaged(1, b"", MALFORMED, "not Arrow IPC: it is empty")
        return
    done = 0
    readable = _Readable(source, reading)
    for table in gather(readable, reading.batch_rows):
        yield from deliver(source, reading, table, done + 1)
        done += table.num_rows
    if readable.problem:
        raw = b"" if done and source.path else source.head(reading.record_bytes)
        yield source.damaged(done + 1, raw, MALFORMED, f"not Arrow IPC: {readable.problem}")


class _Readable:
    """The batches of an input up to where it is broken, and then what is wrong there."""

    def __init__(self, source: Input, reading: Reading) -> None:
        self._source = source
        self._reading = reading
        self.problem = ""

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with self._source.map() as file:
            try:
                yield from self._batches(file)
            except BROKEN as error:
                raise_if_device(error)
                self.problem = str(error)

    def _batches(self, file: pa.NativeFile) -> Iterator[pa.RecordBatch]:
        if file.read(len(_MAGIC)) != _MAGIC:
            yield from self._of_stream(file, 0)
            return
        try:
            names = pa.ipc.open_file(file).schema.names
        except pa.ArrowException as error:
            yield from self._of_stream(file, _FIRST_MESSAGE)
            self.problem = f"no sound footer, the file is cut short: {error}"
            return
        if self._reading.unpacked_bytes is not None:  # what the footer names might be elsewhere
            yield from self._of_stream(file, _FIRST_MESSAGE)
            return
        reader = pa.ipc.open_file(file, options=self._options(names))
        for i in range(reader.num_record_batches):
            yield reader.get_batch(i)

    def _of_stream(self, file: pa.NativeFile, start: int) -> Iterator[pa.RecordBatch]:
        if self._reading.unpacked_bytes is not None:
            self._check(pa.py_buffer(self._source.value)[start:])
        file.seek(start)
        names = pa.ipc.open_stream(file).schema.names
        file.seek(start)
        yield from pa.ipc.open_stream(file, options=self._options(names))

    def _check(self, stream: pa.Buffer) -> None:
        """Raises TooMuchError where the messages that can be read claim too much."""
        total = 0
        try:
            for claim in claims(stream, VALUE_BYTES):
                total += claim
                self._reading.check(total)
        except pa.ArrowException:
            pass  # where it is broken the reader finds it so
        except (struct.error, ValueError) as error:
            raise pa.ArrowInvalid(f"a batch whose size cannot be told: {error}") from None

    def _options(self, names: list[str]) -> pa.ipc.IpcReadOptions:
        """Only the columns wanted are decompressed."""
        wanted = set(wanted_once(self._reading, names))
        fields = [i for i, name in enumerate(names) if name in wanted]
        return pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
