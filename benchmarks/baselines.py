"""Next contents by popularity: what a retrieval model has to beat, on a folder of sequences.

    python -m benchmarks.baselines OUT/sequences --spec SPEC [--last 0.2]

Sessions in the order of their ends. For each, the contents that the retrieval view would ask for
(docs/semantics.md, Views) are ranked by what was known before the session; then the session is
learned. A content's score is the sum of 2^(-age / half-life) over the engagements with it: with an
endless half-life that is how popular it is, with a short one how recent. Of equal scores the one
engaged with last comes first. What was never seen before counts as not found.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.clicks.best import ranked
from benchmarks.measure import machine, table
from schemas.load import load_spec
from schemas.sequences import CONTENT

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HOUR, DAY = 3_600_000.0, 86_400_000.0
HALF_LIVES = {
    "most popular": math.inf,
    "popular, half-life 30 d": 30 * DAY,
    "popular, half-life 7 d": 7 * DAY,
    "popular, half-life 1 d": DAY,
    "popular, half-life 1 h": HOUR,
    "most recent": 1.0,
}
"""In ms. A score halved each ms is that of the last engagement alone."""

_TOKENS = ["token_type", "token_id", "token_time"]
_SHOWN = ("hr@1", "hr@10", "hr@50", "ndcg@10", "mrr")


@dataclass(frozen=True, slots=True)
class Engaged:
    """New contents, session after session: session s has those from offsets[s] to offsets[s + 1].

    `content` is a number from 0 in place of the id; `time` is in ms; `positive` says which have a
    positive action, `asked` which of these have a content before them in their sequence.
    """

    offsets: Ints
    content: Ints
    time: Ints
    positive: Bools
    asked: Bools
    contents: int


def engaged(folder: Path, positive: int) -> Engaged:
    """The new contents of all sequences of a folder; `positive` has the bits of those actions."""
    rows = (
        pl.scan_parquet(folder / "*.parquet")
        .select("session_end", "sequence_id", "new_contents", *_TOKENS)
        .sort("session_end", "sequence_id")
        .with_row_index("session")
        .select("session", "new_contents", *_TOKENS)
        .explode(_TOKENS)
        .with_columns(action=pl.col("token_id").shift(-1))
        .filter(pl.col("token_type") == CONTENT)
        .with_columns(
            place=pl.int_range(pl.len()).over("session"), contents=pl.len().over("session")
        )
        .filter(pl.col("contents") - pl.col("place") <= pl.col("new_contents"))
        .with_columns(content=pl.col("token_id").rank("dense").cast(pl.Int64) - 1)
        .collect()
    )
    is_positive = rows["action"].to_numpy() & positive != 0
    session = rows["session"].to_numpy().astype(np.int64)
    return Engaged(
        np.searchsorted(session, np.arange(session[-1] + 2)),
        rows["content"].to_numpy(),
        rows["token_time"].dt.epoch("ms").to_numpy(),
        is_positive,
        is_positive & (rows["place"].to_numpy() > 0),
        rows["content"].n_unique(),
    )


def ranks(of: Engaged, half_life: float, counted: Bools) -> Iterator[tuple[int, Floats]]:
    """Each session that is asked for something, and the ranks of that, from 1; infinity where it
    was never seen. Only engagements that are `counted` make scores."""
    decay = math.log(2) / half_life
    # Logarithms of scores as of the first time: each would be scaled alike at any later time.
    log_score = np.full(of.contents, -np.inf)
    last = np.full(of.contents, np.iinfo(np.int64).min)
    since = (of.time - of.time.min()) * decay
    for session, (begin, end) in enumerate(zip(of.offsets, of.offsets[1:], strict=False)):
        target = of.content[begin:end][of.asked[begin:end]]
        if len(target):
            yield session, _ranks(log_score, last, target)
        learned = begin + np.flatnonzero(counted[begin:end])
        np.logaddexp.at(log_score, of.content[learned], since[learned])
        np.maximum.at(last, of.content[learned], of.time[learned])


def _ranks(log_score: Floats, last: Ints, target: Ints) -> Floats:
    """How many are before each target, and one."""
    own, seen = log_score[target, None], last[target, None]
    before = (log_score > own) | ((log_score == own) & (last > seen))
    return np.where(own[:, 0] == -np.inf, np.inf, 1.0 + before.sum(axis=1))


def figures(of: Engaged, half_life: float, counted: Bools, last: float) -> list[dict[str, float]]:
    """The figures over all sessions, and over the last part of them."""
    begins = (1 - last) * (len(of.offsets) - 1)
    found = list(ranks(of, half_life, counted))
    late = [rank for session, rank in found if session >= begins]
    return [ranked(np.concatenate(part)) for part in ([rank for _, rank in found], late)]


def main() -> int:
    """Ranks by each baseline and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--last", type=float, default=0.2, help="share of sessions shown apart")
    asked = parser.parse_args()
    spec = load_spec(asked.spec)
    bits = sum(1 << bit for bit, name in enumerate(spec.actions) if name in spec.positive)
    of = engaged(asked.folder, bits)
    print(machine())
    print(f"{len(of.offsets) - 1:,} sessions, {of.asked.sum():,} contents to be said, of")
    print(f"{of.contents:,}; first all sessions, then the last {asked.last:.0%} of them\n")
    heads = ["", "engagements counted", *_SHOWN, *(f"{name}, last" for name in _SHOWN)]
    print(table(heads, [*_rows(of, asked.last)]))
    return 0


def _rows(of: Engaged, last: float) -> Iterator[list[str]]:
    """A row for each half-life, by all engagements and by those with a positive action."""
    for name, half_life in HALF_LIVES.items():
        for what, counted in (("all", np.ones_like(of.positive)), ("positive", of.positive)):
            both = figures(of, half_life, counted, last)
            yield [name, what, *(f"{part[shown]:.4f}" for part in both for shown in _SHOWN)]


if __name__ == "__main__":
    sys.exit(main())
