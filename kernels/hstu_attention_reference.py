"""HSTU attention in plain PyTorch: what the fast kernels must agree with.

B sequences of a batch · T tokens of all sequences, end to end · H heads · D width of a query or key
head · V width of a value head · G sequences of a group · L longest sequence of a group.
"""

import torch
from torch import Tensor
from torch.nn.functional import silu

from kernels.attention_mask import ALL_BEFORE, Mask
from kernels.relative_bias import RelativeBias
from kernels.time_buckets import time_bucket


def reference_attention(
    q_THD: Tensor,
    k_THD: Tensor,
    v_THV: Tensor,
    offsets_B1: Tensor,
    *,
    bias: RelativeBias | None = None,
    mask: Mask = ALL_BEFORE,
    alpha: float = 1.0,
    divisor: float | None = None,
    pointwise: bool = True,
) -> Tensor:
    """As `hstu_attention`, in any float type, differentiable by autograd as often as one likes.

    Not `pointwise` is the paper's ablation: a softmax over the visible scores, and no divisor.
    Memory is 2 · T · H · longest scores at most, since sequences are padded in groups of lengths
    that differ by less than two.
    """
    # Zeros that autograd knows, so that there is something to go back from without any token.
    out_THV = v_THV.masked_fill(torch.ones_like(v_THV, dtype=torch.bool), 0)
    targets_B = torch.zeros_like(offsets_B1[1:]) if mask.targets_B is None else mask.targets_B
    for members_G in _groups(offsets_B1.diff()):
        start_G = offsets_B1[members_G]
        length_G = offsets_B1[members_G + 1] - start_G
        history_G = (length_G - targets_B[members_G]).clamp(min=0)
        i_L = torch.arange(int(length_G.max()), device=offsets_B1.device)
        token_GL = start_G[:, None] + torch.minimum(i_L, length_G[:, None] - 1)

        scores_GHLL = alpha * torch.einsum("glhd,gmhd->ghlm", q_THD[token_GL], k_THD[token_GL])
        if bias is not None:
            scores_GHLL = scores_GHLL + _bias(bias, token_GL, history_G).to(scores_GHLL.dtype)
        visible_G1LL = _visible(i_L, history_G, mask)[:, None]
        if pointwise:
            most_G = torch.minimum(history_G + 1, length_G)
            if mask.window is not None:
                most_G = most_G.clamp(max=mask.window + mask.prefix)
            by_G111 = most_G.to(scores_GHLL.dtype)[:, None, None, None]
            scale = 1 / by_G111 if divisor is None else 1 / divisor
            weights_GHLL = silu(scores_GHLL).where(visible_G1LL, 0) * scale
        else:
            weights_GHLL = scores_GHLL.where(visible_G1LL, -torch.inf).softmax(-1)
        out_GLHV = torch.einsum("ghlm,gmhv->glhv", weights_GHLL, v_THV[token_GL])
        is_token_GL = i_L < length_G[:, None]
        out_THV = out_THV.index_copy(0, token_GL[is_token_GL], out_GLHV[is_token_GL])
    return out_THV


def _groups(length_B: Tensor) -> list[Tensor]:
    """The sequences that have tokens, those together whose lengths round up to one power of two."""
    octaves_B = [(length - 1).bit_length() if length else -1 for length in length_B.tolist()]
    octave_B = torch.tensor(octaves_B, device=length_B.device)
    return [(octave_B == octave).nonzero()[:, 0] for octave in sorted({*octaves_B} - {-1})]


def _visible(i_L: Tensor, history_G: Tensor, mask: Mask) -> Tensor:
    """[G, L, L]: which keys a query sees."""
    not_after_LL = i_L[:, None] >= i_L
    itself_LL = i_L[:, None] == i_L
    in_prefix_GL = i_L < history_G[:, None].clamp(max=mask.prefix)
    in_reach_GLL = (i_L < history_G[:, None])[:, None]
    if mask.window is not None:
        at_GL1 = torch.minimum(i_L, history_G[:, None])[:, :, None]
        in_reach_GLL = in_reach_GLL & ((at_GL1 - i_L < mask.window) | in_prefix_GL[:, None])
    visible_GLL = not_after_LL & (in_reach_GLL | itself_LL)
    return visible_GLL | (in_prefix_GL[:, :, None] & in_prefix_GL[:, None])


def _bias(bias: RelativeBias, token_GL: Tensor, history_G: Tensor) -> Tensor:
    """[G, H, L, L]: the bias of each query and key; padding takes that of its sequence's last."""
    i_L = torch.arange(token_GL.shape[1], device=token_GL.device)
    at_GL = torch.minimum(i_L, history_G[:, None])
    distance_GLL = (at_GL[:, :, None] - i_L).clamp(0, bias.position_HP.shape[1] - 1)
    elapsed_GLL = bias.query_time_T[token_GL][:, :, None] - bias.key_time_T[token_GL][:, None]
    bucket_GLL = time_bucket(elapsed_GLL, bias.time_HC.shape[1])
    bias_HGLL = _of_each(bias.position_HP, distance_GLL) + _of_each(bias.time_HC, bucket_GLL)
    return bias_HGLL.transpose(0, 1)


def _of_each(table_HP: Tensor, index_GLL: Tensor) -> Tensor:
    """[H, G, L, L]: entries of a table, by what has the quickest gradient on a CPU."""
    return table_HP.index_select(1, index_GLL.flatten()).view(-1, *index_GLL.shape)
