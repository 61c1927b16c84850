"""HSTU attention of new queries to keys and values that are kept in pages from call to call.

M-FALCON (Zhai et al., "Actions Speak Louder than Words", ICML 2024, section 3.4 and appendix H)
scores many candidates for one history, whose keys and values are computed once.
Without a softmax attention is a sum over keys: what a query sees in the cache and what it sees
beside it are added up.

Q queries · H heads · D width of a query or key head · V of a value head · L keys of a history.
"""

import torch
from torch import Tensor
from torch.nn.functional import silu

from kernels.cached_keys import CachedKeys, Queries, Tables
from kernels.implementations import is_triton
from kernels.time_buckets import time_bucket


def cached_attention(
    q_QHD: Tensor,
    queries: Queries,
    cached: CachedKeys,
    tables: Tables,
    *,
    own: tuple[Tensor, Tensor] | None = None,
    window: int | None = None,
    alpha: float,
    divisor: float,
    implementation: str | None = None,
) -> Tensor:
    """out_i = Σ SiLU(alpha · q_i·k_j + bias_ij) v_j / divisor, over what is cached of positions up
    to its own; out_QHV. With a `window` only over what is nearer than so many positions.

    With `own`, their keys [Q, H, D] and values [Q, H, V], queries are candidates: they stand behind
    all that is cached, and each sees itself too and no other; those of a block have the position
    and the time of its first one. Queries of no block give zero. `implementation` is as in
    `hstu_attention`. No autograd.
    """
    if is_triton(q_QHD, implementation):
        from kernels.cached_attention_triton import forward

        return forward(q_QHD, queries, cached, tables, own, window, alpha, divisor)
    out_QHV = q_QHD.new_zeros((*q_QHD.shape[:2], cached.v_RHV.shape[2]))
    for first, count, b in queries.block_N3.tolist():
        here = slice(first, first + count)
        row_L = _rows(cached, b)
        distance_QL = queries.position_Q[here, None] - torch.arange(len(row_L), device=row_L.device)
        elapsed_QL = queries.time_Q[here, None] - cached.time_R[row_L]
        bias_HQL = _bias(distance_QL, elapsed_QL, tables).to(q_QHD.dtype)
        scores_HQL = alpha * torch.einsum("qhd,lhd->hql", q_QHD[here], cached.k_RHD[row_L])
        weights_HQL = silu(scores_HQL + bias_HQL) / divisor
        sees_QL = distance_QL >= 0
        if window is not None:
            sees_QL &= distance_QL < window
        weights_HQL = weights_HQL.where(sees_QL, 0)
        out_QHV[here] = torch.einsum("hql,lhv->qhv", weights_HQL, cached.v_RHV[row_L])
    return out_QHV if own is None else out_QHV + _own(q_QHD, queries, *own, tables, alpha, divisor)


def _rows(cached: CachedKeys, b: int) -> Tensor:
    """Where the positions of a history are: int64 [L]."""
    j_L = torch.arange(int(cached.length_B[b]), device=cached.page_BX.device)
    return cached.page_BX[b, j_L // cached.page].long() * cached.page + j_L % cached.page


def _bias(distance_QL: Tensor, elapsed_QL: Tensor, tables: Tables) -> Tensor:
    """[H, Q, L]: the bias of each query of a block and each key."""
    distance_QL = distance_QL.clamp(0, tables.position_HP.shape[1] - 1)
    bucket_QL = time_bucket(elapsed_QL, tables.time_HC.shape[1])
    return tables.position_HP[:, distance_QL] + tables.time_HC[:, bucket_QL]


def _own(
    q_QHD: Tensor,
    queries: Queries,
    k_QHD: Tensor,
    v_QHV: Tensor,
    tables: Tables,
    alpha: float,
    divisor: float,
) -> Tensor:
    """What each query of a block sees in itself, at no distance and at the same time: [Q, H, V]."""
    bias_H = (tables.position_HP[:, 0] + tables.time_HC[:, 0]).to(q_QHD.dtype)
    weight_QH = silu(alpha * (q_QHD * k_QHD).sum(2) + bias_H) / divisor
    asks_Q = torch.zeros_like(queries.position_Q, dtype=torch.bool)
    for first, count, _ in queries.block_N3.tolist():
        asks_Q[first : first + count] = True
    return torch.where(asks_Q[:, None, None], weight_QH[:, :, None] * v_QHV, 0)
