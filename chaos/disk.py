"""A disk of its own for a folder, small enough to be filled."""

import subprocess
from pathlib import Path

from schemas.failures import Failure

_BLOCK = bytes(1 << 16)


class Disk:
    """A file system of so many MB in memory at `folder`; a context manager. Mounting one takes a
    superuser, or a user namespace, where anybody is one: Failure where it is not allowed."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self._folder, self._size = folder, megabytes

    def __enter__(self) -> "Disk":
        self._folder.mkdir(parents=True)
        _call("mount", "-t", "tmpfs", "-o", f"size={self._size}m", "tmpfs", str(self._folder))
        return self

    def __exit__(self, *_: object) -> None:
        _call("umount", "--lazy", str(self._folder))

    def fill(self) -> None:
        """Takes all the room that is left."""
        with open(self._ballast, "wb", buffering=0) as file:
            try:
                while file.write(_BLOCK):
                    pass
            except OSError:
                return

    def free(self) -> None:
        """Gives it back."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self._folder / ".ballast"


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise Failure(
            f"{command[0]} needs a superuser, or to begin with unshare --user --map-root-user "
            f"--mount: {done.stderr.strip()}"
        )
