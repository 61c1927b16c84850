"""How well the next content is found: log-perplexity, hit rate, NDCG and reciprocal rank.

N targets · R candidates · G groups of age · K the top k.
"""

import math

import torch
from torch import Tensor

from kernels.constants import constant
from model.evaluation.ages import GROUPS, members
from model.evaluation.windows import Metric
from model.reporting.names import figure

HELP = {
    "retrieval/log_perplexity": "Mean of -log probability of the target among the candidates.",
    "retrieval/uniform_log_perplexity": "What it would be with all candidates equally likely.",
    "retrieval/hit_rate": "Share of the targets that are among the first k.",
    "retrieval/ndcg": "Mean of 1 / log2(1 + rank) of the target, 0 beyond the first k.",
    "retrieval/mrr": "Mean of 1 / rank of the target.",
    "retrieval/coverage": "Share of the targets that could be recommended when they were scored.",
    "retrieval/targets": "Targets that were scored.",
}

TOP_K = (1, 10, 50, 200)


def candidates_ahead(score_NR: Tensor, target_score_N: Tensor, column_N: Tensor) -> Tensor:
    """How many candidates stand before each target, as [N] int64; the rank is one more.

    Ties are counted against the target, and so is what is NaN on either side: a model that scores
    all alike finds nothing. `column_N` is where the target itself stands among the R, negative
    where it does not, so that counts over pieces of a catalogue add up.
    """
    ahead_NR = ~(score_NR < target_score_N[:, None])
    columns = torch.arange(score_NR.shape[1], device=score_NR.device)
    return (ahead_NR & (columns != column_N[:, None])).sum(1)


class Retrieval(Metric):
    """Sums behind the figures of retrieval, by age of the content.

    Ranks are either among the whole catalogue, or among the target and some sampled candidates;
    figures of the two cannot be compared, so each has it in its name: candidates=full, or
    candidates=sampled 1000.
    """

    def __init__(self, sampled: int | None = None, device: torch.device | str = "cpu") -> None:
        # Of each group: targets; those covered; -log p; log candidates; 1 / rank; hits; gains.
        super().__init__((len(GROUPS), 5 + 2 * len(TOP_K)), device)
        self._candidates = "full" if sampled is None else f"sampled {sampled}"

    def update(
        self, rank_N: Tensor, log_probability_N: Tensor, age_N: Tensor, candidates: int
    ) -> None:
        """Adds targets: ranks from 1 among so many candidates, log probabilities of the softmax
        over these, and groups of age from `age_groups`.

        Rank 0 is a target that is no candidate, since it could not be recommended yet: it is a
        miss, but has no part in the log-perplexities.
        """
        covered_N = rank_N > 0
        rank_N = rank_N.double().where(covered_N, torch.inf)
        surprise_N = -log_probability_N.detach().double().where(covered_N, 0.0)
        hit_NK = rank_N[:, None] <= constant(TOP_K, rank_N.device)
        gain_NK = hit_NK / torch.log2(1 + rank_N)[:, None]
        size_N = covered_N * math.log(max(candidates, 1))
        one_N = torch.ones_like(rank_N)
        single = torch.stack([one_N, covered_N, surprise_N, size_N, 1 / rank_N], 1)
        self._sums += members(age_N) @ torch.cat([single, hit_NK, gain_NK], 1)

    def value(self, sums: Tensor) -> dict[str, float]:
        """The figures of all targets, and by age."""
        by_age = sums.cpu()
        figures = self._figures(by_age.sum(0))
        for group, part in zip(GROUPS, by_age, strict=True):
            figures |= self._figures(part, age=group)
        return figures

    def _figures(self, sums: Tensor, **age: str) -> dict[str, float]:
        targets, covered, surprise, size, reciprocal, *tops = sums.tolist()
        if not targets:
            return {}
        labels = {"candidates": self._candidates, **age}
        figures = {
            figure("retrieval/targets", **labels): targets,
            figure("retrieval/coverage", **labels): covered / targets,
            figure("retrieval/mrr", **labels): reciprocal / targets,
        }
        for k, hits, gains in zip(TOP_K, tops[: len(TOP_K)], tops[len(TOP_K) :], strict=True):
            figures[figure("retrieval/hit_rate", k=k, **labels)] = hits / targets
            figures[figure("retrieval/ndcg", k=k, **labels)] = gains / targets
        if covered:
            figures[figure("retrieval/log_perplexity", **labels)] = surprise / covered
            figures[figure("retrieval/uniform_log_perplexity", **labels)] = size / covered
        return figures
