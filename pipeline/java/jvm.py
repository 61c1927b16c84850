"""A Java process that ends when this program does, whatever ends this program."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# Reads one line from us. The line is a farewell; the end of the pipe without one means that this
# program died, even by kill -9, and then the Java process must go: gently, after 10 s by force.
_GUARD = """
read -r farewell && exit
kill -TERM "$1"
n=0
while [ $n -lt 40 ] && kill -0 "$1"; do sleep 0.25; n=$((n + 1)); done
kill -KILL "$1"
"""


class Jvm:
    """A running Java process in a process group of its own (Ctrl-C does not reach it)."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        inherited: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run `command`; its output is added to the file `log`, `inherited` files stay open, and
        `environment` adds to ours."""
        self._log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=tuple(inherited),
                env={**os.environ, **(environment or {})},
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, or None while it runs."""
        status = self._process.poll()
        if status is not None:
            self._dismiss_guard()
        return status

    def stop(self, limit: float) -> None:
        """End it with SIGTERM, and by force where it still runs after `limit` seconds."""
        self._process.terminate()
        try:
            self._process.wait(limit)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(limit)
        self._dismiss_guard()

    def kill(self) -> None:
        """End it at once (kill -9)."""
        self._process.kill()
        self._process.wait(10)
        self._dismiss_guard()

    def last_words(self) -> str:
        """The most telling line of what this process has logged, "" for none."""
        with open(self._log, "rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        telling = [line for line in lines if "ERROR" in line or "Exception" in line]
        return " ".join((telling or lines or [""])[-1].split())

    def _dismiss_guard(self) -> None:
        if self._guard.poll() is None and self._guard.stdin and not self._guard.stdin.closed:
            self._guard.communicate(b"\n", timeout=10)
