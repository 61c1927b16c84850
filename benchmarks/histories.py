"""A benchmark of one shard at several lengths of history, each in a process of its own."""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import machine, measured, module, table

USERS, CONTENTS = 1_000, 8
"""Users of the shard at scale 1, and contents of a session."""


def by_history(
    name: str,
    description: str | None,
    histories: Sequence[int],
    measurements: Callable[[int, int], Any],
    said: str,
    heads: list[str],
    rows: Callable[[int, float, Any], list[list[str]]],
) -> int:
    """Runs the script `name` for each history, and prints what came of it as a table.

    `measurements` of a history and a number of users give plain values; `rows` makes these, with
    the history and the peak memory in MB, rows of the table. `said` follows the number of users.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scale", type=float, default=1.0, help="times a thousand users a shard")
    parser.add_argument("--history", type=int, help="measure this one alone, print JSON")
    given = parser.parse_args()
    users = round(USERS * given.scale)
    if given.history:
        print(json.dumps(measurements(given.history, users)))
        return 0
    print(machine(), f"\n{users:,} users{said}\n")
    made: list[list[str]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for history in histories:
            own = ("--history", history, "--scale", given.scale)
            run = measured(module(name, *own), Path(scratch))
            made += rows(history, run.peak_mb, json.loads(run.printed))
    print(table(heads, made))
    return 0
