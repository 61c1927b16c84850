"""One input being read, a file or a Kafka message, and how it is to be read."""

import io
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from schemas.fetched import Damaged, Int64s, Origin
from transforms.core.decode.reject import Reason

MALFORMED, TOO_LARGE = Reason.MALFORMED, Reason.TOO_LARGE

BATCH_BYTES = 32 << 20
"""A batch is also cut where it holds this many bytes, so that wide records do not fill memory."""

MESSAGE_BYTES = 64 << 20
"""What a message may hold when it is unpacked."""

_DETAIL_CHARACTERS = 300
_HEAD_BYTES = 64 << 10


class TooMuchError(Exception):
    """An input that claims, or turns out, to hold more than it may; `size` as far as is known."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(f"a message that holds {size} bytes or more unpacked; {most} are allowed")


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read: rows a batch, bytes a record at most, top-level columns wanted (None: all).

    `unpacked_bytes` is the most that the whole input may hold (None: it is trusted).
    """

    batch_rows: int
    record_bytes: int
    columns: frozenset[str] | None = None
    unpacked_bytes: int | None = None

    def check(self, size: int) -> None:
        """Raises TooMuchError where an input of `size` bytes unpacked holds too much."""
        if self.unpacked_bytes is not None and size > self.unpacked_bytes:
            raise TooMuchError(size, self.unpacked_bytes)

    def wanted(self, names: list[str]) -> list[str]:
        """Those of `names` to read, at least one: a table without columns forgets its rows."""
        if self.columns is None:
            return names
        return [name for name in names if name in self.columns] or names[:1]


@dataclass(frozen=True, slots=True)
class Input:
    """A file (`path`, and `file` relative to the input folder) or a Kafka message (`value`)."""

    source: str
    path: Path | None = None
    file: str | None = None
    value: bytes = b""
    partition: int | None = None
    offset: int | None = None
    timestamp: int | None = None

    @classmethod
    def of_file(cls, source: str, path: Path, root: Path) -> "Input":
        """The file at `path`, named relative to `root`."""
        name = os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "replace")
        return cls(source, path=path, file=name)

    def open(self) -> BinaryIO:
        """The bytes, to be read once or sought in; the caller closes it. Raises OSError."""
        if self.path is None:
            return io.BytesIO(self.value)
        return self.path.open("rb")

    def map(self) -> pa.NativeFile:
        """The bytes for Arrow, without a copy. Raises OSError; an empty file is no mapping."""
        if self.path is None:
            return pa.BufferReader(self.value)
        return pa.memory_map(str(self.path))

    def size(self) -> int:
        """Bytes of the input as it lies."""
        return len(self.value) if self.path is None else self.path.stat().st_size

    def head(self, limit: int) -> bytes:
        """The first bytes, for a Damaged of the whole input; at most 64 KiB of a file."""
        if self.path is None:
            return self.value[:limit]
        with self.open() as file:
            return file.read(min(limit, _HEAD_BYTES))

    def origin(self, lines: Int64s) -> Origin:
        """Where the records at `lines` [n] stand; the records of a message share its place."""
        if self.file is not None:
            return Origin(file=self.file, line=lines)
        n = len(lines)
        return Origin(
            partition=_full(n, self.partition),
            offset=_full(n, self.offset),
            timestamp=_full(n, self.timestamp),
        )

    def damaged(self, line: int, raw: bytes, reason: str, detail: str) -> Damaged:
        """What could not be read, beginning at `line`; `detail` is made one short line."""
        origin = self.origin(np.array([line], dtype=np.int64))
        short = " ".join(detail.split())[:_DETAIL_CHARACTERS]
        return Damaged(self.source, raw, reason, short, origin)


def repeated(names: list[str]) -> list[str]:
    """The names that are there more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def too_large(size: int, limit: int) -> str:
    """The detail of a record over the limit."""
    return f"{size} bytes, more than limits.record_bytes {limit}"


def _full(n: int, value: int | None) -> Int64s | None:
    return None if value is None else np.full(n, value, dtype=np.int64)
