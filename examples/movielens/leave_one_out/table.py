"""What runs have come to, as a table: the mean of a variant's seeds, and their spread.

python -m examples.movielens.leave_one_out.table FOLDER
"""

import json
import statistics
import sys
from pathlib import Path

FIGURES = ("hr@10", "ndcg@10", "hr@50", "hr@200", "mrr")


def rows_of(folder: Path) -> dict[str, list[dict[str, float]]]:
    """The last line of each run that is at its end, by variant."""
    found: dict[str, list[dict[str, float]]] = {}
    for lines in sorted(folder.glob("*/lines.jsonl")):
        variant, _, _ = lines.parent.name.rpartition("-")
        last = json.loads(lines.read_text().splitlines()[-1])
        if "end" in last:
            found.setdefault(variant, []).append(last)
    return found


def table_of(rows: dict[str, list[dict[str, float]]]) -> str:
    """In Markdown, the best first; the spread is the standard deviation of the seeds."""
    lines = [
        "| | seeds | epochs | " + " | ".join(name.upper() for name in FIGURES) + " |",
        "|-|-:|-:|" + "-:|" * len(FIGURES),
    ]
    for variant, runs in sorted(rows.items(), key=lambda row: -_mean(row[1], "ndcg@10")):
        cells = [_cell([run[name] for run in runs]) for name in FIGURES]
        epochs = "–".join(sorted({f"{run['epochs']:.0f}" for run in runs}))
        lines.append(f"| {variant} | {len(runs)} | {epochs} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


def _mean(runs: list[dict[str, float]], name: str) -> float:
    return statistics.mean(run[name] for run in runs)


if __name__ == "__main__":
    sys.stdout.write(table_of(rows_of(Path(sys.argv[1]))) + "\n")
