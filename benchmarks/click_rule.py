"""A platform with a known rule: events for `phia run`, and the best that a trainer can reach.

    python -m benchmarks.click_rule FOLDER [--engagements 200000 --users 2000 --items 500 --seed 0]
    phia run FOLDER/spec.yaml --input FOLDER/in --output FOLDER/out

Writes the events and the spec, and FOLDER/truth.parquet: of each engagement, by `user` and `time`,
the true probabilities (benchmarks/clicks/walk.py). Prints the best figures over all of them, beside
those of the base rate and of the most popular contents in hindsight.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.clicks.best import best_figures, ranked, targets
from benchmarks.clicks.walk import ACTIONS, Walk, walked
from benchmarks.measure import table

SOURCE = "engagements"
SPEC: dict[str, Any] = {
    "version": 1,
    "name": "click-rule",
    "sources": {
        SOURCE: {
            "format": "json",
            "user": "user",
            "time": {"field": "time", "unit": "ms"},
            "event_id": "event_id",
            "item": "item",
            "actions": {"field": "did"},
            "categories": {"topic": "topic"},
            "features": {"country": {"field": "country"}},
        }
    },
    "actions": list(ACTIONS),
    "positive": ["CLICK"],
    "features": {"country": "scalar"},
    "categories": ["topic"],
    "session": {"gap": "30m"},
    "attribution": "0s",
}

_DID = {
    bits: [name for bit, name in enumerate(ACTIONS) if bits >> bit & 1]
    for bits in range(1 << len(ACTIONS))
}


def written(walk: Walk, folder: Path) -> pl.DataFrame:
    """Writes in/engagements.jsonl, spec.yaml and truth.parquet to a folder; gives the truth."""
    truth = walked(walk)
    (folder / "in").mkdir(parents=True, exist_ok=True)
    (folder / "spec.yaml").write_text(json.dumps(SPEC), encoding="utf-8")
    truth.write_parquet(folder / "truth.parquet")
    did = pl.col("actions").replace_strict(_DID, return_dtype=pl.List(pl.String)).alias("did")
    records = truth.select("event_id", "user", "time", "item", "topic", "country", did)
    records.write_ndjson(folder / "in" / f"{SOURCE}.jsonl")
    return truth


def hindsight(truth: pl.DataFrame) -> dict[str, float]:
    """The figures of one order of all contents, by how often each was to be said."""
    asked = targets(truth)
    places = asked["item"].value_counts(sort=True)["count"]
    rank = pl.int_range(1, len(places) + 1, eager=True)
    return ranked(rank.to_numpy().repeat(places.to_numpy()).astype(float))


def main() -> int:
    """Writes the platform and prints what can be reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    for name in Walk.__slots__:
        parser.add_argument(f"--{name}", type=int, default=getattr(Walk(), name))
    asked = vars(parser.parse_args())
    folder = asked.pop("folder")
    truth = written(Walk(**asked), folder)
    base = {f"ne {name}": 1.0 for name in ACTIONS} | hindsight(truth)
    best = best_figures(truth)
    rows = [
        [name, f"{base[name]:.4f}" if name in base else "", f"{best[name]:.4f}"] for name in best
    ]
    print(f"{len(truth):,} engagements, {len(targets(truth)):,} to be said, in {folder}")
    print(table(["", "base rate, most popular in hindsight", "best possible"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
