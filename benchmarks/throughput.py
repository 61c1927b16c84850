"""`phia run` over files beside its rivals: an event at a time in Beam, and polars offline.

    python -m benchmarks.throughput [--scale 1] [--longest 400]

Three workloads, of 2, 8 and 40 contents a session. All are processes of their own from a spec and
files to Parquet, so their starts count; what a start alone takes is measured on a few events. The
rate of the per-event rival is one on fewer users of the same workload, and the ratio to it is of
rates without the starts, which is what it comes to on long input; polars reads the same files, and
the ratio to it is of whole times.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Run, machine, measured, module, phia, table

EVENTS, FEW = 1_000_000, 60_000
CONTENTS = (2, 8, 40)

Command = Callable[[Path, Path], list[str]]


def contestants(form: str) -> dict[str, Command]:
    """The commands from a folder of spec and input to a folder of output."""

    def of_rival(name: str) -> Command:
        return lambda folder, out: module(f"benchmarks.rivals.{name}", *_arguments(folder, out))

    def of_phia(folder: Path, out: Path) -> list[str]:
        return phia("run", *_arguments(folder, out))

    rivals = {"polars": of_rival("polars_offline")} if form == "arrow" else {}
    return {"phia": of_phia, "per-event": of_rival("per_event"), **rivals}


def _arguments(folder: Path, out: Path) -> list[object]:
    return [folder / "spec.yaml", "--input", folder / "in", "--output", out]


class Contest:
    """Runs contestants on workloads, all in one scratch folder."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._commands = contestants("arrow")

    def inputs(self, contents: int, events: int, longest: int) -> tuple[Path, int]:
        """A folder with spec and input, and the number of events."""
        folder = self._scratch / f"{contents}-{events}"
        made = measured(
            module("benchmarks.inputs", folder, contents, events, longest), self._scratch / "log"
        )
        return folder, int(json.loads(made.printed)["events"])

    def run(self, name: str, folder: Path) -> Run:
        """One contestant on one folder; its output is thrown away."""
        out = self._scratch / "out"
        shutil.rmtree(out, ignore_errors=True)
        return measured(self._commands[name](folder, out), self._scratch / "log")


def main() -> int:
    """Runs all and prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="times a million events")
    parser.add_argument("--longest", type=int, default=400, help="longest history, contents")
    given = parser.parse_args()
    print(machine(), "\n")
    with tempfile.TemporaryDirectory() as scratch:
        contest = Contest(Path(scratch))
        tiny, _ = contest.inputs(8, 100, 40)
        starts = {name: contest.run(name, tiny).seconds for name in contestants("arrow")}
        rows = []
        for contents in CONTENTS:
            folder, events = contest.inputs(contents, round(EVENTS * given.scale), given.longest)
            smaller, few = contest.inputs(contents, round(FEW * given.scale), given.longest)
            runs = {name: contest.run(name, folder) for name in ("phia", "polars")}
            runs["per-event"] = contest.run("per-event", smaller)
            rows.append(_row(contents, events, few, runs, starts))
    print(table(_HEADS, rows))
    print("\nstarts alone, s:", ", ".join(f"{k} {v:.1f}" for k, v in starts.items()))
    return 0


_HEADS = [
    "contents a session",
    "events",
    "phia s",
    "polars s",
    "phia / polars",
    "phia k events/s",
    "polars k events/s",
    "per-event k events/s",
    "phia / per-event",
    "peak MB phia",
    "polars",
    "per-event (its events)",
]


def _row(
    contents: int, events: int, few: int, runs: dict[str, Run], starts: dict[str, float]
) -> list[str]:
    rate = {
        name: (few if name == "per-event" else events) / max(run.seconds - starts[name], 1e-3) / 1e3
        for name, run in runs.items()
    }
    return [
        str(contents),
        f"{events:,}",
        f"{runs['phia'].seconds:.1f}",
        f"{runs['polars'].seconds:.1f}",
        f"**{runs['polars'].seconds / runs['phia'].seconds:.0%}**",
        f"{rate['phia']:.0f}",
        f"{rate['polars']:.0f}",
        f"{rate['per-event']:.1f}",
        f"**{rate['phia'] / rate['per-event']:.0f}×**",
        f"{runs['phia'].peak_mb:.0f}",
        f"{runs['polars'].peak_mb:.0f}",
        f"{runs['per-event'].peak_mb:.0f} ({few:,})",
    ]


if __name__ == "__main__":
    sys.exit(main())
