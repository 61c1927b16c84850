"""Reports as a file of JSON lines, which goes on where a checkpoint does."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from model.reporting.report import Reported
from schemas.failures import Failure, UsageError

_BEGIN = b'{"step": '


class JsonLines:
    """Appends a line to a file for each report: step, tokens, time (ms), and the figures.

    Opened after a step, it drops the lines of later steps, which will come again, and a last line
    that a killed process left torn. Numbers that are not finite are null.
    """

    def __init__(self, path: Path, after: int = 0, clock: Callable[[], float] = time.time) -> None:
        """Raises UsageError where the file holds other lines, or cannot be written."""
        self._path = path
        self._clock = clock
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+")
            self._file.truncate(_end_of(self._file, path, after))
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error

    def write(self, reported: Reported) -> None:
        """Appends a line, and hands it to the operating system. Raises Failure."""
        figures = {
            name: number if math.isfinite(number) else None
            for name, number in reported.figures.items()
        }
        place = {"step": reported.step, "tokens": reported.tokens}
        line = json.dumps(
            {**place, "time": int(self._clock() * 1000), **figures},
            ensure_ascii=False,
            allow_nan=False,
        )
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise Failure(f"{self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _end_of(file: BinaryIO, path: Path, after: int) -> int:
    """Where the lines up to a step end. Raises UsageError for a line that no report wrote."""
    file.seek(0)
    end = place = 0
    for number, line in enumerate(file, start=1):
        place += len(line)
        torn = not line.endswith(b"\n")
        step = None if torn else _step_of(line)
        if step is None and not (torn and line.startswith(_BEGIN[: len(line)])):
            raise UsageError(f"{path}: line {number} is no report; name a file of its own")
        if step is not None and step <= after:
            end = place
    return end


def _step_of(line: bytes) -> int | None:
    try:
        written: Any = json.loads(line)
    except ValueError:
        return None
    step = written.get("step") if isinstance(written, dict) else None
    return step if isinstance(step, int) else None
