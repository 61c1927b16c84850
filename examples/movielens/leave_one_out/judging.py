"""The content that was held back, ranked for each user; the newest content that may not be seen.

Legend: U users, B users of a batch, W contents of a window, I items and none.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as fn
from torch import Tensor

from examples.movielens.leave_one_out.batches import batch_of
from examples.movielens.leave_one_out.ranks import figures, ranks
from examples.movielens.leave_one_out.training import Training

USERS = 1_024


class Judged(NamedTuple):
    """What was thought of the first content that was held back of each user, on the CPU: its rank,
    int64, and -log of the softmax over all items, in nats."""

    rank_U: Tensor
    loss_U: Tensor

    def figures(self) -> dict[str, float]:
        """Those of the ranks, and the mean loss, which is the log-perplexity."""
        return figures(self.rank_U) | {"log_perplexity": float(self.loss_U.double().mean())}


@torch.no_grad()
def judged(training: Training) -> Judged:
    """With the weights as they are now."""
    histories, shown = training.histories, training.shown
    end_U = shown.ends(histories) + 1
    room = min(USERS, histories.users) * shown.longest(histories)
    ranked, lost = [], []
    training.model.eval()
    for user_B in torch.arange(histories.users, device=end_U.device).split(USERS):
        end_B = end_U[user_B]
        batch = batch_of(histories, shown, user_B, end_B, room, training.step)
        scores_BI = training.model.scores(batch)
        target_B = histories.item_N[end_B - 1]
        ranked.append(ranks(scores_BI, target_B, _seen(training, user_B)))
        lost.append(_loss(scores_BI / training.settings.temperature, target_B))
    return Judged(torch.cat(ranked).cpu(), torch.cat(lost).cpu())


def _loss(scores_BI: Tensor, target_B: Tensor) -> Tensor:
    return fn.cross_entropy(scores_BI[:, 1:], target_B - 1, reduction="none")


def _seen(training: Training, user_B: Tensor) -> Tensor:
    """The items of each user's window: [B, W], 0 where there are fewer."""
    histories, shown = training.histories, training.shown
    end_B = shown.ends(histories)[user_B]
    at_BW = end_B[:, None] - 1 - torch.arange(shown.length, device=user_B.device)
    is_there_BW = at_BW >= histories.offsets_U1[user_B][:, None]
    return torch.where(is_there_BW, histories.item_N[at_BW.clamp(min=0)], 0)
