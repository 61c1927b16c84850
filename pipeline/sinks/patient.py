"""A file that waits while the disk is full: somebody may make room, and nothing is lost by then."""

import errno
import io
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying
from tenacity.retry import retry_if_exception
from tenacity.stop import stop_after_delay
from tenacity.wait import wait_exponential

from pipeline.sinks.folder import OutputError

FULL_S = 300.0
"""How long a full disk is waited for: less than a bundle may last, more than a person needs."""

FIRST_S, MOST_S = 0.5, 10.0

_FULL = (errno.ENOSPC, errno.EDQUOT)

T = TypeVar("T")


class PatientFile(io.RawIOBase):
    """A new file to write to. While the disk is full it waits FULL_S, then raises OutputError."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file = self._patiently(self._opened)

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any, /) -> int:
        """Writes all of the bytes."""
        left = memoryview(data).cast("B")
        size = left.nbytes
        while left.nbytes:
            left = left[self._patiently(partial(self._file.write, left)) :]
        return size

    def close(self) -> None:
        """Closes the file."""
        if not self.closed:
            self._file.close()
        super().close()

    def _opened(self) -> io.FileIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return io.FileIO(self._path, "w")

    def _patiently(self, do: Callable[[], T]) -> T:
        try:
            return Retrying(
                retry=retry_if_exception(_is_full),
                stop=stop_after_delay(FULL_S),
                wait=wait_exponential(FIRST_S, MOST_S),
                before_sleep=self._tell,
                reraise=True,
            )(do)
        except OSError as error:
            waited = f", and waited {FULL_S:.0f} s" if _is_full(error) else ""
            raise OutputError(f"cannot write {self._path}: {error.strerror}{waited}") from error

    def _tell(self, state: RetryCallState) -> None:
        if state.attempt_number == 1:
            logging.getLogger(__name__).warning(
                "no room for %s; waiting up to %.0f s", self._path, FULL_S
            )


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _FULL
