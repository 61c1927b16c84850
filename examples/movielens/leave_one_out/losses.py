"""How the next item is learned: a softmax over it and items drawn for each position, or over all.

Legend: F positions, M width, I items and none, J items, S items drawn for a position.
"""

import torch
import torch.nn.functional as fn
from torch import Tensor

from examples.movielens.leave_one_out.batches import NO_TARGET
from kernels.uniform_rows import uniform_rows

NEGATIVES = 2_000
"""The seed of what is drawn, apart from those of dropout."""
MANY = 30_000


def drawn_items(key_F: Tensor, wanted: int, items: int) -> Tensor:
    """For each position items drawn evenly, with repeats, 0 never: [F, S]."""
    draw_FS = uniform_rows(NEGATIVES, key_F, wanted)
    return 1 + (draw_FS * (items - 1)).long().clamp(max=items - 2)


def next_item_loss(
    query_FM: Tensor, item_IM: Tensor, target_F: Tensor, drawn_FS: Tensor | None, temperature: float
) -> Tensor:
    """-log of the softmax of each target, the mean over positions that have one: a scalar.

    A score is the cosine of query and item by the temperature. Without `drawn_FS` the target is
    told from all items. One that is drawn and is the target does not count; one that is drawn twice
    counts twice.
    """
    query_FM = fn.normalize(query_FM, dim=1) / temperature
    item_JM = fn.normalize(item_IM[1:], dim=1)
    place_F = target_F - 1
    if drawn_FS is None:
        return fn.cross_entropy(query_FM @ item_JM.T, place_F, ignore_index=NO_TARGET - 1)
    place_FS = torch.cat([place_F.clamp(min=0).unsqueeze(1), drawn_FS - 1], 1)
    own_F1, others_FS = _scores(query_FM, item_JM, place_FS).split([1, drawn_FS.shape[1]], 1)
    others_FS = others_FS.masked_fill(drawn_FS == target_F[:, None], -torch.inf)
    loss_F = torch.cat([own_F1, others_FS], 1).logsumexp(1) - own_F1[:, 0]
    has_F = target_F != NO_TARGET
    return torch.where(has_F, loss_F, 0.0).sum() / has_F.sum()


def _scores(query_FM: Tensor, item_JM: Tensor, place_FS: Tensor) -> Tensor:
    """The scores of some items for each position: [F, S]. Up to MANY items it is quicker to score
    all and pick, since the gradient of an item's vector then is one product."""
    if len(item_JM) <= MANY:
        return (query_FM @ item_JM.T).gather(1, place_FS)
    return torch.einsum("fm,fsm->fs", query_FM, fn.embedding(place_FS, item_JM))
