"""Measured commands: their output, their peak memory, and how they fail."""

import resource
import sys
from pathlib import Path

import pytest

from benchmarks.measure import Failed, machine, measured, table


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_a_command_prints_and_takes(tmp_path: Path) -> None:
    run = measured(
        python("import time; x = bytearray(200 << 20); time.sleep(0.2); print(7)"), tmp_path
    )
    assert run.printed == "7\n"
    assert 0.2 <= run.seconds < 10
    own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert 200 <= run.peak_mb < own_mb + 300  # a child's peak is never less than its parent's


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"status 3\n.*no such thing"):
        measured(
            python("import sys; print('no such thing', file=sys.stderr); sys.exit(3)"), tmp_path
        )


def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="not done in time"):
        measured(python("import time; time.sleep(60)"), tmp_path, limit=0.3)


def test_the_machine_and_a_table() -> None:
    assert "cores" in machine()
    assert table(["a", "b"], [[1, 2]]) == "| a | b |\n| - | -: |\n| 1 | 2 |"
