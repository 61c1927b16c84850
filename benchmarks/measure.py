"""Commands run as processes of their own, with their time and peak memory; and tables of them.

This module and the scripts import next to nothing, because a child's peak memory, as the system
tells it, is never less than its parent's when it was started.
"""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIMIT_S = 900
_PACKAGES = ("apache-beam", "pyarrow", "polars", "numpy", "kafka-python")
_POLL_S = 0.02


class Failed(Exception):
    """A measured command did not end well; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a command took: wall and processor seconds, peak memory in MB; and what it printed."""

    seconds: float
    processor: float
    peak_mb: float
    printed: str


def measured(command: Sequence[str], folder: Path, limit: float = LIMIT_S) -> Run:
    """Runs a command to its end; its output goes through a file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    printed, said = folder / "stdout", folder / "stderr"
    begun = time.perf_counter()
    with printed.open("wb") as out, said.open("wb") as err:
        child = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err)
    status, usage = _awaited(child, begun + limit)
    seconds = time.perf_counter() - begun
    if status:
        raise Failed(f"{' '.join(command)}: status {status}\n{said.read_text()[-2000:]}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    processor = usage.ru_utime + usage.ru_stime
    return Run(seconds, processor, kilobytes / 1024, printed.read_text())


def _awaited(child: "subprocess.Popen[bytes]", until: float) -> tuple[int, resource.struct_rusage]:
    """The child's exit status and what it used, which Popen's own wait does not tell."""
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode, usage
        if time.perf_counter() > until:
            child.kill()
            _, _, usage = os.wait4(child.pid, 0)
            child.returncode = -9
            raise Failed(f"{child.args!r}: not done in time and killed")
        time.sleep(_POLL_S)


def module(name: str, *arguments: object) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def phia(*arguments: object) -> list[str]:
    """The command `phia` of this environment."""
    return [str(Path(sys.executable).parent / "phia"), *map(str, arguments)]


def machine() -> str:
    """One line: processor, cores, memory, system, Python and the versions that matter."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [_processor(), f"{cores} cores", f"{memory:.0f} GB", platform.system()]
    parts += [f"Python {platform.python_version()}"]
    parts += [f"{name} {found}" for name in _PACKAGES if (found := _version(name))]
    return ", ".join(parts)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["-" if not at else "-:" for at in range(len(heads))], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
