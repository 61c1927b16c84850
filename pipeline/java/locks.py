"""Locks between processes on this machine: the system frees them when their holders end."""

import fcntl
import time
from pathlib import Path
from typing import BinaryIO


def take_lock(path: Path, limit: float) -> BinaryIO | None:
    """The open, locked file, or None where another process held it for all of `limit` seconds.

    The lock ends when the file is closed here and in every process that inherited it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "ab")  # noqa: SIM115 - it stays open as long as the lock is held
    deadline = time.monotonic() + limit
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() >= deadline:
                file.close()
                return None
        time.sleep(0.1)
