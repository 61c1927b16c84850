"""What runs have come to: the last fifth of the interactions, each tenth, quality against cost.

    python -m examples.movielens.one_pass.table SPEC FOLDER OUT

FOLDER is what `phia run` wrote with SPEC, OUT what the runs wrote (run.py). Prints tables, and
draws OUT/over-time.svg and OUT/cost.svg.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from examples.movielens.one_pass.plots import over_time, quality_by_cost
from examples.movielens.one_pass.stream import Sessions
from schemas.load import load_spec

TENTHS = 10
FIFTH = (9, 10)
"""The tenths of the last fifth."""
SHOWN = (
    "targets",
    "hr@1",
    "hr@10",
    "ndcg@10",
    "hr@50",
    "mrr",
    "hr@10 unseen",
    "ndcg@10 unseen",
)
OVER_TIME = ("hr@10", "ndcg@10", "hr@10 unseen")

Figures = dict[str, float]


def tenths(ranks: pl.DataFrame, edges: list[int]) -> pl.DataFrame:
    """Ranks (ranks.py) with the tenth, from 1, in which the target's session ended."""
    tenth = 1 + sum((pl.col("session_end") > edge).cast(pl.Int64) for edge in edges[:-1])
    return ranks.with_columns(tenth=tenth)


def figures(ranks: pl.DataFrame) -> Figures:
    """HR@1, 10, 50, NDCG@10 and MRR among all candidates, HR@10 and NDCG@10 among the unseen."""
    found: Figures = {"targets": float(ranks.height)}
    for name, column in (("", "rank"), (" unseen", "rank_unseen")):
        rank = ranks[column].cast(pl.Float64)
        rank = rank.set(rank == 0, float("inf"))
        gain = 1 / (rank + 1).log(2)
        for k in (1, 10, 50):
            found[f"hr@{k}{name}"] = _mean((rank <= k).cast(pl.Float64))
        found[f"ndcg@10{name}"] = _mean(gain * (rank <= 10))
        found[f"mrr{name}"] = _mean(1 / rank)
    return found


def _mean(values: pl.Series) -> float:
    return float(values.sum()) / max(len(values), 1)


def costs(lines: Path) -> Figures:
    """What a run had trained on at its end; nothing where it is not there, or was cut."""
    if not lines.is_file():
        return {}
    last = json.loads(lines.read_text(encoding="utf-8").splitlines()[-1])
    return {name: float(last[name]) for name in ("tokens", "pairs")} if "end" in last else {}


def main(spec: Path, folder: Path, out: Path) -> None:
    """Prints and draws all that there is."""
    edges = Sessions.of(folder, load_spec(spec)).edges(TENTHS)
    runs = {
        file.stem: tenths(pl.read_parquet(file), edges) for file in sorted(out.glob("*.parquet"))
    }
    late = {
        name: figures(ranks.filter(pl.col("tenth").is_in(FIFTH))) for name, ranks in runs.items()
    }
    cost = {name: costs(out / f"{name}.jsonl") for name in runs}
    by_tenth = {
        name: {
            int(str(tenth)): figures(part)
            for (tenth,), part in ranks.sort("tenth").group_by("tenth")
        }
        for name, ranks in runs.items()
    }
    lines = [*_last_fifth(late, cost), *_each_tenth(by_tenth)]
    sys.stdout.write("\n".join(lines) + "\n")
    (out / "over-time.svg").write_text(over_time(by_tenth), encoding="utf-8")
    (out / "cost.svg").write_text(quality_by_cost(late, cost), encoding="utf-8")


def _last_fifth(late: Mapping[str, Figures], cost: Mapping[str, Figures]) -> Iterator[str]:
    """Of each run, the best first."""
    yield _row(["", *SHOWN, "tokens"])
    yield _row(["-"] * (len(SHOWN) + 2))
    for name, found in sorted(late.items(), key=lambda each: -each[1]["hr@10"]):
        cells = [f"{found['targets']:,.0f}", *(f"{found[key]:.4f}" for key in SHOWN[1:])]
        yield _row([name, *cells, f"{cost[name].get('tokens', 0):,.0f}"])


def _each_tenth(by_tenth: Mapping[str, Mapping[int, Figures]]) -> Iterator[str]:
    """A table for each of some figures."""
    for key in OVER_TIME:
        yield ""
        yield _row([key, *map(str, range(1, TENTHS + 1))])
        yield _row(["-"] * (TENTHS + 1))
        for name, found in by_tenth.items():
            yield _row([name, *(_cell(found, tenth, key) for tenth in range(1, TENTHS + 1))])


def _cell(found: Mapping[int, Figures], tenth: int, key: str) -> str:
    return f"{found[tenth][key]:.4f}" if tenth in found else ""


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
