"""Where the content that was held back stands among all items that a user's window has not.

Legend: U users, I items and none, W items of a window, 0 where there are fewer.
"""

import torch
from torch import Tensor

AT = (1, 10, 50, 200)


def ranks(scores_UI: Tensor, target_U: Tensor, seen_UW: Tensor) -> Tensor:
    """1 and how many items have a greater score than the target: int64 [U].

    What was seen does not count, nor does item 0, which is none.
    """
    own_U1 = scores_UI.gather(1, target_U.unsqueeze(1))
    above_UI = scores_UI > own_U1
    above_UI = above_UI.scatter(1, seen_UW, False).index_fill(1, target_U.new_zeros(1), False)
    return 1 + above_UI.sum(1)


def figures(rank_U: Tensor) -> dict[str, float]:
    """HR@k and NDCG@k of the ranks, MRR, and how many there are."""
    rank_U = rank_U.double()
    gain_U = 1 / torch.log2(rank_U + 1)
    found: dict[str, float] = {"users": float(len(rank_U)), "mrr": float((1 / rank_U).mean())}
    for k in AT:
        hit_U = rank_U <= k
        found[f"hr@{k}"] = float(hit_U.double().mean())
        found[f"ndcg@{k}"] = float((gain_U * hit_U).mean())
    return found
