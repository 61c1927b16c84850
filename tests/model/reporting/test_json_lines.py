"""JSON lines: resumed after any step, from a file torn at any byte, as if nothing had been."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.reporting.json_lines import JsonLines
from model.reporting.report import Reported
from schemas.failures import UsageError


def write(path: Path, steps: range, after: int = 0) -> None:
    lines = JsonLines(path, after, clock=lambda: 1.5)
    for step in steps:
        lines.write(Reported(step, 10 * step, {"loss": 1 / step, "ne/action=Größe": step}))
    lines.close()


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_has_its_place_its_time_and_the_figures(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "figures.jsonl"
    write(file, range(2, 3))
    line = {"step": 2, "tokens": 20, "time": 1500, "loss": 0.5, "ne/action=Größe": 2}
    assert read(file) == [line]
    assert "Größe" in file.read_text(encoding="utf-8")


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    file = tmp_path / "figures.jsonl"
    lines = JsonLines(file)
    lines.write(Reported(1, 1, {"a": math.nan, "b": -math.inf, "c": 0.0}))
    lines.close()
    (line,) = read(file)
    assert (line["a"], line["b"], line["c"]) == (None, None, 0)


def test_a_line_is_there_as_soon_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "figures.jsonl"
    lines = JsonLines(file)
    lines.write(Reported(1, 1, {}))
    assert len(read(file)) == 1
    lines.close()


@pytest.mark.parametrize("after", range(5))
def test_torn_at_any_byte_it_goes_on_after_the_step(tmp_path: Path, after: int) -> None:
    whole = tmp_path / "whole.jsonl"
    write(whole, range(1, 5))
    written = whole.read_bytes()
    kept = sum(len(line) for line in written.splitlines(keepends=True)[:after])
    for torn in range(kept, len(written) + 1):
        file = tmp_path / "torn.jsonl"
        file.write_bytes(written[:torn])
        write(file, range(after + 1, 5), after)
        assert file.read_bytes() == written


def test_killed_it_leaves_whole_lines_and_at_most_a_torn_one(tmp_path: Path) -> None:
    file = tmp_path / "figures.jsonl"
    program = (
        "import itertools, pathlib, sys\n"
        "from model.reporting.json_lines import JsonLines\n"
        "from model.reporting.report import Reported\n"
        "lines = JsonLines(pathlib.Path(sys.argv[1]))\n"
        "for step in itertools.count(1):\n"
        "    lines.write(Reported(step, step, {'loss': 1 / step}))\n"
        "    if step == 50: print('ready', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        os.kill(writer.pid, signal.SIGKILL)
    JsonLines(file, after=10**9).close()
    steps = [line["step"] for line in read(file)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= 50


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"my notes\n", 1),
        (b"my notes", 1),
        (b'{"step": 1}\n{"loss": 2}\n', 2),
        (b'{"step": 1}\n[1]\n', 2),
        (b'{"step": "x"}\n', 1),
        (b'{"step": 1}\nnotes', 2),
        (b'{"step": 3, "los\n{"step": 1}\n', 1),
    ],
)
def test_a_file_with_other_lines_is_refused_and_left_alone(
    tmp_path: Path, content: bytes, line: int
) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=f"notes.txt: line {line} is no report"):
        JsonLines(file)
    assert file.read_bytes() == content


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"figures.jsonl: (File exists|Not a directory)"):
        JsonLines(tmp_path / "file" / "figures.jsonl")
