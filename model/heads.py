"""What is asked of a position: the actions to come (ranking), the content to come (retrieval).

Legend: N positions with a target, M width, A actions, S contents to tell the target from.
"""

import torch
import torch.nn.functional as fn
from torch import Tensor, nn

SPREAD = 0.02


class RankingHead(nn.Module):
    """A logit for each action, one task an action (Zhai et al., 2024, section 2.3)."""

    def __init__(self, width: int, actions: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.logits = nn.Linear(width, actions)

    def forward(self, x_NM: Tensor) -> Tensor:
        """Logits [N, A]."""
        logits_NA: Tensor = self.logits(fn.silu(self.hidden(x_NM)))
        return logits_NA


def ranking_loss(logits_NA: Tensor, is_done_NA: Tensor) -> Tensor:
    """The log loss of each position, the mean over actions, summed over positions: a scalar."""
    wanted_NA = is_done_NA.to(logits_NA.dtype)
    losses_NA = fn.binary_cross_entropy_with_logits(logits_NA, wanted_NA, reduction="none")
    return losses_NA.mean(1).sum()


class RetrievalHead(nn.Module):
    """Contents by the angle between their vectors and what a position asks for."""

    def __init__(self, width: int, temperature: float) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.temperature = temperature

    def forward(self, x_NM: Tensor) -> Tensor:
        """Queries [N, M], of length 1 / temperature."""
        return fn.normalize(self.query(x_NM), dim=1) / self.temperature


def directions(vectors_NM: Tensor) -> Tensor:
    """Vectors of contents as the retrieval head compares them: [N, M], of length 1."""
    return fn.normalize(vectors_NM, dim=1)


def sampled_softmax_loss(
    query_NM: Tensor,
    target_NM: Tensor,
    other_SM: Tensor,
    target_id_N: Tensor,
    other_id_S: Tensor,
    target_bias_N: Tensor | float = 0.0,
    other_bias_NS: Tensor | float = 0.0,
) -> Tensor:
    """-log of the softmax of each target among itself and the others, summed: a scalar.

    A score is query · vector + bias. Where one of the others is the target itself it does not
    count. All vectors are directions but the queries.
    """
    own_N1 = ((query_NM * target_NM).sum(1) + target_bias_N).unsqueeze(1)
    others_NS = query_NM @ other_SM.T + other_bias_NS
    is_own_NS = other_id_S == target_id_N.unsqueeze(1)
    others_NS = others_NS.masked_fill(is_own_NS, -torch.inf)
    scores_NS = torch.cat([own_N1, others_NS], 1)
    return (torch.logsumexp(scores_NS, 1) - own_N1.squeeze(1)).sum()
