"""Attention to keys in pages, in Triton: a program is a block of queries of one head.

Candidates of a block have one position and one time, so their bias is looked up once a key, and not
once a score. The letters are those of kernels/cached_keys.py; M queries and N keys of a tile.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import hstu_attention_launch as launch
from kernels.cached_keys import QUERIES, CachedKeys, Queries, Tables
from kernels.hstu_attention_tile import (
    UNSEEN,
    activation,
    bucket_of,
    dot,
    load_rows,
    store_rows,
)

KEYS = 64
"""Keys of a tile on a GPU; a page has whole tiles."""

SMALL = 16
"""Keys of a tile in Triton's interpreter, which is slow."""


def forward(
    q_QHD: Tensor,
    queries: Queries,
    cached: CachedKeys,
    tables: Tables,
    own: tuple[Tensor, Tensor] | None,
    window: int | None,
    alpha: float,
    divisor: float,
) -> Tensor:
    """out_QHV of `cached_attention`. Raises ValueError for a page that has not whole tiles."""
    keys = KEYS if q_QHD.is_cuda else SMALL
    if cached.page % keys:
        raise ValueError(f"a page has {cached.page} rows, which {keys} does not divide")
    heads, width = q_QHD.shape[1:]
    value_width = cached.v_RHV.shape[2]
    out_QHV = q_QHD.new_zeros((*q_QHD.shape[:2], value_width))
    bfloat16 = q_QHD.is_cuda and q_QHD.dtype == torch.bfloat16
    _cached_pass[(len(queries.block_N3), heads)](
        launch.rows(out_QHV),
        launch.rows(q_QHD),
        launch.rows(cached.k_RHD),
        launch.rows(cached.v_RHV),
        None if own is None else launch.rows(own[0]),
        None if own is None else launch.rows(own[1]),
        (cached.time_R, cached.page_BX, cached.page_BX.stride(0), cached.length_B, cached.page),
        (queries.block_N3, queries.position_Q, queries.time_Q),
        _tables(tables),
        window,
        alpha,
        1 / divisor,
        D=width,
        V=value_width,
        PADDED_D=max(triton.next_power_of_2(width), 16),
        PADDED_V=max(triton.next_power_of_2(value_width), 16),
        M=QUERIES,
        N=keys,
        OPERAND=tl.bfloat16 if bfloat16 else tl.float32,
        num_warps=4,
        num_stages=3 if bfloat16 else 1,
    )
    return out_QHV


def _tables(tables: Tables) -> tuple[Any, ...]:
    position_HP, time_HC = tables.position_HP.contiguous(), tables.time_HC.contiguous()
    return position_HP, position_HP.shape[1], time_HC, time_HC.shape[1]


@triton.jit
def _cached_pass(
    out,
    q,
    k,
    v,
    own_k,
    own_v,
    cached,
    queries,
    tables,
    window,
    alpha,
    scale,
    D: tl.constexpr,
    V: tl.constexpr,
    PADDED_D: tl.constexpr,
    PADDED_V: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    OPERAND: tl.constexpr,
):
    """A block of rows of the output."""
    h = tl.program_id(1)
    block = queries[0] + tl.program_id(0) * 3
    first, count, b = tl.load(block), tl.load(block + 1), tl.load(block + 2)
    if count == 0:
        return
    i_M = tl.arange(0, M)
    q_MD = load_rows(q, h, first, i_M, count, D, PADDED_D, OPERAND)
    if own_k is None:
        inside_M = i_M < count
        at = tl.load(queries[1] + first + i_M, mask=inside_M, other=0)[:, None]
        now = tl.load(queries[2] + first + i_M, mask=inside_M, other=0)[:, None]
    else:
        at, now = tl.load(queries[1] + first), tl.load(queries[2] + first)
    length = tl.load(cached[3] + b)
    pages = cached[1] + b * cached[2]
    sum_MV = tl.zeros((M, PADDED_V), tl.float32)
    nearest = 0
    if window is not None:
        nearest = tl.maximum(tl.load(queries[1] + first).to(tl.int32) - window + 1, 0) // N * N
    for start in range(nearest, length // N * N, N):
        row = tl.load(pages + start // cached[4]).to(tl.int64) * cached[4] + start % cached[4]
        sum_MV = _add(
            sum_MV, q_MD, k, v, cached[0], tables, h, row, start, N, at, now,
            window, alpha, D, V, PADDED_D, PADDED_V, N, OPERAND,
        )  # fmt: skip
    start = length // N * N
    if length > start:
        row = tl.load(pages + start // cached[4]).to(tl.int64) * cached[4] + start % cached[4]
        sum_MV = _add(
            sum_MV, q_MD, k, v, cached[0], tables, h, row, start, length - start, at, now,
            window, alpha, D, V, PADDED_D, PADDED_V, N, OPERAND,
        )  # fmt: skip
    if own_k is not None:
        k_MD = load_rows(own_k, h, first, i_M, count, D, PADDED_D, OPERAND).to(tl.float32)
        v_MV = load_rows(own_v, h, first, i_M, count, V, PADDED_V, OPERAND).to(tl.float32)
        bias = tl.load(tables[0] + h * tables[1]) + tl.load(tables[2] + h * tables[3])
        half_M = (tl.sum(q_MD.to(tl.float32) * k_MD, 1) * alpha + bias.to(tl.float32)) * 0.5
        silu_M, _ = activation(half_M, scale, OPERAND)
        sum_MV += silu_M[:, None] * v_MV
    store_rows(out, sum_MV * scale, h, first, i_M, count, V)


@triton.jit
def _add(
    sum_MV,
    q_MD,
    k,
    v,
    key_time,
    tables,
    h,
    row,
    start,
    count,
    at,
    now,
    window,
    alpha,
    D: tl.constexpr,
    V: tl.constexpr,
    PADDED_D: tl.constexpr,
    PADDED_V: tl.constexpr,
    N: tl.constexpr,
    OPERAND: tl.constexpr,
):
    """A sum with what one tile of keys adds to it; values beyond its keys are zero."""
    n_N = tl.arange(0, N)
    k_ND = load_rows(k, h, row, n_N, count, D, PADDED_D, OPERAND)
    v_NV = load_rows(v, h, row, n_N, count, V, PADDED_V, OPERAND)
    time_N = tl.load(key_time + row + n_N, mask=n_N < count, other=0)
    elapsed = (now - time_N[None, :]).to(tl.float32)
    distance = at - (start + n_N)[None, :]
    place = tl.minimum(tl.maximum(distance, 0), tables[1] - 1)
    bias = tl.load(tables[0] + h * tables[1] + place).to(tl.float32)
    bias += tl.load(tables[2] + h * tables[3] + bucket_of(elapsed, tables[3])).to(tl.float32)
    half_MN = (dot(q_MD, tl.trans(k_ND)) * alpha + bias) * 0.5
    if window is not None:
        half_MN = tl.where(distance < window, half_MN, UNSEEN)
    silu_MN, _ = activation(half_MN, 1.0, OPERAND)
    return dot(silu_MN.to(OPERAND), v_NV, sum_MV)
