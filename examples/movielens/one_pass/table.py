"""What runs have come to: some tenths of the interactions, each tenth, quality against cost.

    python -m examples.movielens.one_pass.table SPEC FOLDER OUT [--tenths 9 10]

FOLDER is what `phia run` wrote with SPEC, OUT what the runs wrote (run.py). Prints tables, and
draws OUT/over-time.svg and OUT/cost.svg.
"""

import argparse
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import polars as pl

from examples.movielens.one_pass.plots import over_time, quality_by_cost
from examples.movielens.one_pass.settings import VARIANTS, Variant
from examples.movielens.one_pass.stream import Sessions
from model.sampling.token_rows import tokens_of
from pipeline.train.command import choosing_of
from schemas.load import load_spec
from schemas.spec import Spec

TENTHS = 10
LAST_FIFTH = (9, 10)
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


def cost_of(sessions: Sessions, spec: Spec, variant: Variant, until: int) -> Figures:
    """What one pass has trained on by a time (ms): tokens, and pairs of tokens of a sequence; what
    is learned again is taken to be like what came."""
    rows, config = sessions.rows.slice(0, int((sessions.end_R <= until).sum())), variant.config()
    lengths_R = tokens_of(choosing_of(spec, config, 1)(rows)).astype(float)
    times = 1 + (config.rehearsal.updates if config.rehearsal else 0)
    return {"tokens": times * float(lengths_R.sum()), "pairs": times * float((lengths_R**2).sum())}


def tables(spec: Spec, folder: Path, out: Path, shown: Collection[int]) -> Iterator[str]:
    """Lines for all runs that there are; and draws them."""
    sessions = Sessions.of(folder, spec)
    edges = sessions.edges(TENTHS)
    runs = {
        file.stem: tenths(pl.read_parquet(file), edges) for file in sorted(out.glob("*.parquet"))
    }
    by_tenth = {name: _by_tenth(ranks) for name, ranks in runs.items()}
    late = {
        name: figures(ranks.filter(pl.col("tenth").is_in(shown)))
        for name, ranks in runs.items()
        if by_tenth[name].keys() >= set(shown)
    }
    cost = {
        name: cost_of(sessions, spec, VARIANTS[name], edges[max(shown) - 1])
        for name in late
        if name in VARIANTS and VARIANTS[name].kind == "online"
    }
    yield from _shown(late, cost)
    yield from _each_tenth(by_tenth)
    (out / "over-time.svg").write_text(over_time(by_tenth), encoding="utf-8")
    (out / "cost.svg").write_text(quality_by_cost(late, cost), encoding="utf-8")


def _by_tenth(ranks: pl.DataFrame) -> dict[int, Figures]:
    """The figures of each tenth that a run was judged on."""
    return {
        tenth: figures(ranks.filter(pl.col("tenth") == tenth))
        for tenth in ranks["tenth"].unique().sort().to_list()
    }


def _shown(late: Mapping[str, Figures], cost: Mapping[str, Figures]) -> Iterator[str]:
    """The tenths that are asked for, of each run, the best first; and its cost up to them."""
    yield _row(["", *SHOWN, "M tokens", "G pairs"])
    yield _row(["-"] * (len(SHOWN) + 3))
    for name, found in sorted(late.items(), key=lambda each: -each[1]["hr@10"]):
        cells = [f"{found['targets']:,.0f}", *(f"{found[key]:.4f}" for key in SHOWN[1:])]
        spent = cost.get(name)
        both = (
            ["", ""]
            if spent is None
            else [f"{spent['tokens'] / 1e6:.2f}", f"{spent['pairs'] / 1e9:.2f}"]
        )
        yield _row([name, *cells, *both])


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


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("spec", "folder", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--tenths", type=int, nargs="+", default=LAST_FIFTH)
    given = parser.parse_args()
    spec = load_spec(given.spec)
    lines = tables(spec, given.folder, given.out, given.tenths)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
