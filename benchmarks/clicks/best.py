"""What the truth itself reaches by the measures that a trainer is held to."""

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.clicks.rule import Floats
from benchmarks.clicks.walk import ACTIONS

KS = (1, 10, 50)


def best_figures(truth: pl.DataFrame) -> dict[str, float]:
    """The best expected NE of each action, and log-perplexity (nats), HR@K, NDCG@K and MRR of the
    next content, over the engagements in `truth`.

    For the positions that a trainer has scored, keep only those: a semi-join on `user` and `time`.
    Retrieval counts the contents that were clicked, but for each user's first.
    """
    figures = {
        f"ne {name}": normalized_entropy(
            truth[name.lower()].to_numpy(), (truth["actions"].to_numpy() >> bit) & 1 == 1
        )
        for bit, name in enumerate(ACTIONS)
    }
    asked = targets(truth)
    rank_N = asked["rank"].to_numpy()
    figures["log-perplexity"] = -float(asked["log_probability"].to_numpy().mean())
    return figures | ranked(rank_N.astype(np.float64))


def targets(truth: pl.DataFrame) -> pl.DataFrame:
    """The engagements whose content a model was to say beforehand."""
    return truth.filter(pl.col("actions") & 1 == 1, pl.col("rank").is_not_null())


def normalized_entropy(probability_N: Floats, happened_N: npt.NDArray[np.bool_]) -> float:
    """The mean log loss, divided by that of always saying the rate (He et al., 2014)."""
    return log_loss(probability_N, happened_N) / log_loss(
        np.full(len(happened_N), happened_N.mean()), happened_N
    )


def log_loss(probability_N: Floats, happened_N: npt.NDArray[np.bool_]) -> float:
    """The mean of the negated logarithm of the probability of what happened."""
    return -float(np.log(np.where(happened_N, probability_N, 1 - probability_N)).mean())


def ranked(rank_N: Floats) -> dict[str, float]:
    """HR@K, NDCG@K and MRR of ranks that begin with 1; infinity for what was not ranked."""
    found = {}
    for k in KS:
        found[f"hr@{k}"] = float((rank_N <= k).mean())
        found[f"ndcg@{k}"] = float(np.where(rank_N <= k, 1 / np.log2(1 + rank_N), 0.0).mean())
    return found | {"mrr": float((1 / rank_N).mean())}
