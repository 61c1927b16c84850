"""The content that was held back, ranked for each user; the newest content that may not be seen.

Legend: U users, B users of a batch, W contents of a window.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from examples.movielens.leave_one_out.batches import batch_of
from examples.movielens.leave_one_out.ranks import ranks
from examples.movielens.leave_one_out.training import Training

USERS = 1_024


@torch.no_grad()
def judged(training: Training) -> Tensor:
    """The rank of the first content that was held back of each user: int64 [U], on the CPU."""
    histories, shown = training.histories, training.shown
    end_U = shown.ends(histories) + 1
    room = USERS * shown.longest(histories)
    found = []
    with averaged(training):
        for user_B in torch.arange(histories.users, device=end_U.device).split(USERS):
            end_B = end_U[user_B]
            batch = batch_of(histories, shown, user_B, end_B, room, training.step)
            scores_BI = training.model.scores(batch)
            found.append(ranks(scores_BI, histories.item_N[end_B - 1], _seen(training, user_B)))
    return torch.cat(found).cpu()


def _seen(training: Training, user_B: Tensor) -> Tensor:
    """The items of each user's window: [B, W], 0 where there are fewer."""
    histories, shown = training.histories, training.shown
    end_B = shown.ends(histories)[user_B]
    at_BW = end_B[:, None] - 1 - torch.arange(shown.length, device=user_B.device)
    is_there_BW = at_BW >= histories.offsets_U1[user_B][:, None]
    return torch.where(is_there_BW, histories.item_N[at_BW.clamp(min=0)], 0)


@contextmanager
def averaged(training: Training) -> Iterator[None]:
    """With the weights that are judged: the moving average, where there is one."""
    model = training.model
    was = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.eval()
    _put(model, training.average if training.settings.average else was)
    try:
        yield
    finally:
        _put(model, was)


@torch.no_grad()
def _put(model: torch.nn.Module, weights: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
