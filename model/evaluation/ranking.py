"""How well actions are predicted: normalised entropy, AUC, base rate and calibration of each.

N engagements · A actions · G groups of age · L bins of logits.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import softplus

from model.evaluation.ages import GROUPS, members
from model.evaluation.windows import Metric
from model.reporting.names import figure

Floats = npt.NDArray[np.float64]

HELP = {
    "ranking/ne": "Log loss divided by that of always saying the base rate.",
    "ranking/auc": "Chance that an engagement with the action has the higher logit of two.",
    "ranking/base_rate": "Share of the engagements with the action.",
    "ranking/calibration": "Mean probability divided by the base rate.",
    "ranking/positions": "Engagements that were scored.",
}

BINS = 4096
LARGEST_LOGIT = 16.0


class Ranking(Metric):
    """Sums behind the figures of ranking, by action and by age of the content.

    For AUC the logits of either label are counted in BINS bins of equal width, from -LARGEST_LOGIT
    to LARGEST_LOGIT; what lies beyond counts in the outermost bins.
    """

    def __init__(self, actions: Sequence[str], device: torch.device | str = "cpu") -> None:
        # Of each group and action: counts of logits by label and bin; log loss; probabilities.
        super().__init__((len(GROUPS), len(actions), 2 * BINS + 2), device)
        self._actions = tuple(actions)

    def update(self, logit_NA: Tensor, label_NA: Tensor, age_N: Tensor) -> None:
        """Adds engagements: logits, labels 0 or 1, and groups of age from `age_groups`.

        NaN logits make the log loss NaN, and count as the lowest logits for AUC.
        """
        logit_NA, label_NA = logit_NA.detach().double(), label_NA.long()
        self._count(logit_NA, label_NA, age_N)
        loss_NA = softplus(logit_NA) - logit_NA * label_NA
        moments_NA2 = torch.stack([loss_NA, logit_NA.sigmoid()], 2)
        self._sums[:, :, -2:] += torch.einsum("gn,nas->gas", members(age_N), moments_NA2)

    def _count(self, logit_NA: Tensor, label_NA: Tensor, age_N: Tensor) -> None:
        actions, width = self._sums.shape[1:]
        row_NA = age_N[:, None] * actions + torch.arange(actions, device=age_N.device)
        column_NA = label_NA * BINS + _bin_of(logit_NA)
        # Additions of 1 in float64 are exact, in whatever order a GPU makes them.
        one_NA = torch.ones_like(logit_NA)
        self._sums.view(-1).index_add_(0, (row_NA * width + column_NA).flatten(), one_NA.flatten())

    def value(self, sums: Tensor) -> dict[str, float]:
        """The figures of each action, of all engagements and by age."""
        by_age = sums.cpu().numpy()
        figures = self._figures(by_age.sum(0))
        for group, part in zip(GROUPS, by_age, strict=True):
            figures |= self._figures(part, age=group)
        return figures

    def _figures(self, sums: Floats, **age: str) -> dict[str, float]:
        counts = sums[:, :-2].reshape(len(self._actions), 2, BINS)
        positions = counts[0].sum()  # each engagement has a label of every action
        if not positions:
            return {}
        figures = {figure("ranking/positions", **age): float(positions)}
        for action, count, moments in zip(self._actions, counts, sums[:, -2:], strict=True):
            found = _defined(count[0], count[1], *moments)
            figures |= {figure(name, action=action, **age): x for name, x in found.items()}
        return figures


def _bin_of(logit: Tensor) -> Tensor:
    bins = (logit.nan_to_num(nan=-LARGEST_LOGIT) + LARGEST_LOGIT) * (BINS / 2 / LARGEST_LOGIT)
    return bins.clamp(0, BINS - 1).long()


def _defined(negative_L: Floats, positive_L: Floats, loss: float, mass: float) -> dict[str, float]:
    """The figures of one action that its sums define: without both labels there is no entropy to
    divide by, and no pair to compare."""
    negatives, positives = negative_L.sum(), positive_L.sum()
    positions = negatives + positives
    rate = positives / positions
    figures = {"ranking/base_rate": float(rate)}
    if positives:
        figures["ranking/calibration"] = float(mass / positives)
    if positives and negatives:
        entropy = -rate * np.log(rate) - (1 - rate) * np.log1p(-rate)
        figures["ranking/ne"] = float(loss / positions / entropy)
        figures["ranking/auc"] = auc(negative_L, positive_L)
    return figures


def auc(negative_L: Floats, positive_L: Floats) -> float:
    """Area under the ROC curve of what is counted in bins, ascending; neither may be empty.

    A pair in one bin counts half. So the error is at most half of the share of pairs that share a
    bin, Σ positive·negative / (2 · positives · negatives).
    """
    below_L = np.cumsum(negative_L) - negative_L
    won = (positive_L * (below_L + negative_L / 2)).sum()
    return float(won / (negative_L.sum() * positive_L.sum()))
