"""What a trainer learns in one pass, and what each part of the model brings: a table of ablations.

    python -m benchmarks.learning SPEC FOLDER [--config FILE] [--only NAME ...] [--truth FILE]

FOLDER is what `phia run` wrote. Each variant is trained once over all of it, in order of time, each
batch scored before it is learned; the figures are of the sessions in the last part of that order
(--last 0.2). With the truth.parquet of benchmarks.click_rule the best that can be reached stands
above. Logs and checkpoints go to --out.
"""

import argparse
import io
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from benchmarks.clicks.best import best_figures
from benchmarks.measure import machine, table
from model.config import TrainConfig, load_config
from pipeline.train.command import train
from pipeline.train.options import Input, Training
from schemas.load import load_spec
from schemas.spec import Spec

Changes = Mapping[str, Any]

VARIANTS: dict[str, Changes] = {
    "full": {},
    "no time bias": {"model": {"time_bias": False}},
    "no position bias": {"model": {"position_bias": False}},
    "softmax, not pointwise": {"model": {"attention": "softmax"}},
    "bfloat16": {"model": {"precision": "bfloat16"}},
    "no slow features": {"inputs": {"features": False}},
    "no actions": {"inputs": {"actions": False}},
    "no categories": {"inputs": {"categories": False}},
    "no freshness": {"retrieval": {"freshness": False}},
}

RETRIEVAL = {
    "hr@1": "hit_rate/k=1",
    "hr@10": "hit_rate/k=10",
    "ndcg@10": "ndcg/k=10",
    "mrr": "mrr",
    "log-perplexity": "log_perplexity",
}
Line = dict[str, float]


def varied(config: TrainConfig, changes: Changes) -> TrainConfig:
    """The settings with some of them changed."""
    written = config.model_dump(mode="json")
    for part, values in changes.items():
        written[part] |= values
    return TrainConfig.model_validate(written)


def reports(checkpoint: Path) -> list[Line]:
    """All that a run has reported."""
    lines = (checkpoint / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def late_figures(lines: list[Line], spec: Spec, last: float) -> dict[str, float]:
    """Figures over the windows of the last part of the sessions, weighted by what was scored."""
    begins = (1 - last) * lines[-1]["reading/rows"]
    late = [line for line in lines if line["reading/rows"] > begins]
    found = {}
    for action in spec.actions:
        name = f"ranking/ne/action={action}/over=window"
        found[f"ne {action}"] = _mean(late, name, "ranking/positions/over=window")
    for short, name in RETRIEVAL.items():
        full = f"retrieval/{name}/candidates=full/over=window"
        found[short] = _mean(late, full, "retrieval/targets/candidates=full/over=window")
    return found


def _mean(lines: list[Line], name: str, weight: str) -> float:
    pairs = [(line[name], line[weight]) for line in lines if line.get(name) is not None]
    total = sum(w for _, w in pairs)
    return sum(x * w for x, w in pairs) / total if total else float("nan")


def best(truth: Path, folder: Path, last: float) -> dict[str, float]:
    """What the rule itself reaches over the same part of the time."""
    ends = pl.scan_parquet(folder / "sequences" / "*.parquet").select("session_end").collect()
    begins = ends["session_end"].dt.epoch("ms").quantile(1 - last)
    return best_figures(pl.read_parquet(truth).filter(pl.col("time") > begins))


def rows_of(asked: argparse.Namespace) -> Iterator[list[str]]:
    """A row of the table for each variant, as soon as it is trained."""
    spec, config = load_spec(asked.spec), load_config(asked.config)
    names = [f"ne {action}" for action in spec.actions] + list(RETRIEVAL)
    yield ["", *names, "tokens/s"]
    if asked.truth is not None:
        reached = best(asked.truth, asked.folder, asked.last)
        yield ["best possible", *(_shown(reached.get(name)) for name in names), ""]
    for variant in asked.only or VARIANTS:
        checkpoint = asked.out / variant.replace(" ", "-")
        shutil.rmtree(checkpoint, ignore_errors=True)
        begun = time.perf_counter()
        what = Training(
            spec, varied(config, VARIANTS[variant]), Input(asked.folder), checkpoint, asked.device
        )
        train(what, Console(file=io.StringIO()))
        lines = reports(checkpoint)
        speed = lines[-1]["tokens"] / (time.perf_counter() - begun)
        figures = late_figures(lines, spec, asked.last)
        yield [variant, *(_shown(figures[name]) for name in names), f"{speed:,.0f}"]


def _shown(number: float | None) -> str:
    return "" if number is None or math.isnan(number) else f"{number:.4f}"


def main() -> int:
    """Trains the variants and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--only", nargs="*", choices=[*VARIANTS])
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--last", type=float, default=0.2)
    parser.add_argument("--out", type=Path, default=Path("out/learning"))
    parser.add_argument("--device")
    asked = parser.parse_args()
    print(machine())
    header, *rows = rows_of(asked)
    print(table(header, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
