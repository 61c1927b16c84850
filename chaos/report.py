"""What scenarios came to: lines as they go, JSON for each, and a table in the end."""

import json
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chaos.compare import Verdict
from chaos.play import Result

NONE = Verdict()


class Report:
    """Writes to a console, and NAME-SEED.json into `folder`."""

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder, self._console = folder, console
        self._results: list[Result] = []

    @property
    def good(self) -> bool:
        """Whether nothing was lost and nothing differs anywhere."""
        return bool(self._results) and all(result.good for result in self._results)

    def begin(self, name: str, about: str, seed: int) -> None:
        """A scenario begins."""
        self.say(f"{name}: {about} (seed {seed})")

    def say(self, line: str) -> None:
        """A line, with the time."""
        self._console.print(f"{time.strftime('%H:%M:%S')} {line}", markup=False)

    def add(self, result: Result) -> None:
        """A scenario has ended."""
        self._results.append(result)
        self._folder.mkdir(parents=True, exist_ok=True)
        written = {**asdict(result), "good": result.good}
        (self._folder / f"{result.name}-{result.seed}.json").write_text(
            json.dumps(written, indent=1)
        )
        self.say(_line(result))
        for name, each in result.verdicts.items():
            if not each.good:
                self.say(f"  {name}: {each.lost} lost, {each.differing} differing of {each.rows}")

    def table(self) -> None:
        """All results as a table."""
        heads = ("scenario", "kills", "records", "rows", "lost", "doubled", "differing", "trained")
        table = Table(*heads, "recovery, s", "")
        for result in self._results:
            table.add_row(result.name, *_cells(result), "good" if result.good else "BAD")
        self._console.print(table)


def _line(result: Result) -> str:
    names = ("kills", "records", "rows", "lost", "doubled", "differing", "trained", "recovery s")
    said = ", ".join(f"{n} {c}" for n, c in zip(names, _cells(result), strict=True))
    gone = f", {result.gone} gone before they were read" if result.gone else ""
    end = result.failure or ("good" if result.good else "BAD")
    return f"{result.name} (seed {result.seed}, {result.seconds:.0f} s): {said}{gone}: {end}"


def _cells(result: Result) -> list[str]:
    of = result.verdicts
    outputs = [of.get("topic", NONE), of.get("folder", NONE)]
    times = result.recoveries
    return [
        str(sum(result.kills.values())),
        f"{result.records:,}",
        f"{outputs[0].rows:,}",
        f"{sum(v.lost for v in of.values()):,}",
        f"{sum(v.doubled for v in outputs):,}",
        f"{sum(v.differing for v in of.values()):,}",
        f"{of.get('trained', NONE).rows:,}",
        f"{sum(times) / len(times):.1f} (≤ {max(times):.1f})" if times else "–",
    ]
