"""Attention to keys in pages, in Triton: a program is a block of queries of one head and a share of
the keys.

Candidates of a block have one position and one time, so their bias is looked up once a key, before,
and not once a score. Other queries may be in the cache themselves, and see nothing behind them.
Where queries are few, keys are shared out over programs, so that all of a GPU has work; the sums of
the shares are added up in one order. The letters are those of kernels/cached_keys.py; M queries and
N keys of a tile, S shares.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import hstu_attention_launch as launch
from kernels.cached_keys import CANDIDATES, TOKENS, CachedKeys, Queries, Tables
from kernels.hstu_attention_tile import (
    UNSEEN,
    activation,
    bucket_of,
    dot,
    load_rows,
    load_whole_rows,
    store_rows,
)

SMALL = 16
"""Keys of a tile in Triton's interpreter, which is slow."""

PROGRAMS = 2
"""Of a multiprocessor that are wanted."""

MOST_SHARES = 32


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
    constants = _constants(q_QHD, cached.v_RHV) | {"M": TOKENS if own is None else CANDIDATES}
    keys = constants["N"]
    if cached.page % keys:
        raise ValueError(f"a page has {cached.page} rows, which {keys} does not divide")
    heads, shares = q_QHD.shape[1], _shares(q_QHD, constants["M"])
    kind = q_QHD.dtype if shares == 1 else torch.float32
    out_SQHV = q_QHD.new_zeros((shares, *q_QHD.shape[:2], cached.v_RHV.shape[2]), dtype=kind)
    asking = (queries.block_N3, queries.position_Q, queries.time_Q)
    where = (cached.time_R, cached.page_BX, cached.page_BX.stride(0), cached.length_B, cached.page)
    tabled = _tables(tables)
    bias_NHL = None if own is None else _bias(asking, where, tabled, heads)
    _cached_pass[(len(queries.block_N3), heads, shares)](
        launch.rows(out_SQHV[0]),
        out_SQHV.stride(0),
        launch.rows(q_QHD),
        *(launch.rows(x) for x in (cached.k_RHD, cached.v_RHV)),
        *(launch.blocks(x, keys) for x in (cached.k_RHD, cached.v_RHV)),
        *((None, None) if own is None else map(launch.rows, own)),
        where,
        asking,
        bias_NHL,
        tabled,
        window,
        0.5 * alpha,
        1 / divisor,
        **constants,
    )
    return out_SQHV[0] if shares == 1 else out_SQHV.sum(0).to(q_QHD.dtype)


def _shares(q_QHD: Tensor, block: int) -> int:
    """How many programs share the keys of a block of so many queries."""
    if not q_QHD.is_cuda:
        return 3
    processors = torch.cuda.get_device_properties(q_QHD.device).multi_processor_count
    programs = triton.cdiv(max(len(q_QHD), 1), block) * q_QHD.shape[1]
    shares: int = min(triton.cdiv(PROGRAMS * processors, programs), MOST_SHARES)
    return shares


def _constants(q_QHD: Tensor, v_RHV: Tensor) -> dict[str, Any]:
    """What the kernel is compiled for but for its queries: the sizes of attention's forward."""
    constants = launch.of_kernel(launch.forward_constants(q_QHD, v_RHV))
    keys = constants["N"] if q_QHD.is_cuda else SMALL
    return constants | {"N": keys}


def _tables(tables: Tables) -> tuple[Any, ...]:
    position_HP, time_HC = tables.position_HP.contiguous(), tables.time_HC.contiguous()
    return position_HP, position_HP.shape[1], time_HC, time_HC.shape[1]


def _bias(
    asking: tuple[Any, ...], where: tuple[Any, ...], tables: tuple[Any, ...], heads: int
) -> Tensor:
    """Half the bias of each key for the candidates of a block, float32: [N, H, X · page]."""
    blocks, (_, page_BX, _, _, page) = len(asking[0]), where
    pages = page_BX.shape[1]
    bias_NHL = torch.empty(
        (blocks, heads, pages * page), dtype=torch.float32, device=page_BX.device
    )
    _bias_of_keys[(blocks, pages)](bias_NHL, heads, where, asking, tables, N=page)
    return bias_NHL


@triton.jit
def _bias_of_keys(bias, heads, cached, queries, tables, N: tl.constexpr):
    """The bias of one page's keys, of all heads; for what is beyond its history nothing."""
    block, page = tl.program_id(0), tl.program_id(1)
    row = queries[0] + block * 3
    first, count, b = tl.load(row), tl.load(row + 1), tl.load(row + 2)
    length = tl.load(cached[3] + b)
    if (count == 0) | (page * N >= length):
        return
    n_N = tl.arange(0, N)
    inside_N = page * N + n_N < length
    stored = tl.load(cached[1] + b * cached[2] + page).to(tl.int64)
    time_N = tl.load(cached[0] + stored * N + n_N, mask=inside_N, other=0)
    bucket_N = bucket_of((tl.load(queries[2] + first) - time_N).to(tl.float32), tables[3])
    distance_N = tl.load(queries[1] + first) - (page * N + n_N)
    place_N = tl.minimum(tl.maximum(distance_N, 0), tables[1] - 1)
    extent = tl.num_programs(1) * N
    for h in range(heads):
        bias_N = tl.load(tables[0] + h * tables[1] + place_N).to(tl.float32)
        bias_N += tl.load(tables[2] + h * tables[3] + bucket_N).to(tl.float32)
        at = bias + (block * heads + h).to(tl.int64) * extent + page * N
        tl.store(at + n_N, bias_N * 0.5, mask=inside_N)


@triton.jit
def _cached_pass(
    out,
    share_stride,
    q,
    k,
    v,
    k_blocks,
    v_blocks,
    own_k,
    own_v,
    cached,
    queries,
    bias,
    tables,
    window,
    half_alpha,
    scale,
    D: tl.constexpr,
    V: tl.constexpr,
    PADDED_D: tl.constexpr,
    PADDED_V: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    OPERAND: tl.constexpr,
):
    """A block of rows of the output, as far as a share of the keys adds to it."""
    n, h, share = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    block = queries[0] + n * 3
    first, count, b = tl.load(block), tl.load(block + 1), tl.load(block + 2)
    if count == 0:
        return
    i_M, n_N = tl.arange(0, M), tl.arange(0, N)
    at_M = tl.load(queries[1] + first + i_M, mask=i_M < count, other=0)
    now_M = tl.load(queries[2] + first + i_M, mask=i_M < count, other=0)
    length = tl.load(cached[3] + b)
    if bias is None:
        length = tl.minimum(length, tl.max(at_M, 0).to(tl.int32) + 1)
    nearest = 0
    if window is not None:
        nearest = tl.maximum(tl.load(queries[1] + first).to(tl.int32) - window + 1, 0) // N * N
    tiles = tl.maximum(tl.cdiv(length - nearest, N), 0)
    each = tl.cdiv(tiles, tl.num_programs(2)) * N
    begin = nearest + share * each
    end = tl.minimum(begin + each, length)
    whole_end = begin + tl.maximum(end - begin, 0) // N * N

    q_MD = load_rows(q, h, first, i_M, count, D, PADDED_D, OPERAND)
    if bias is not None:
        extent = cached[2] * cached[4]
        bias += (n * tl.num_programs(1) + h).to(tl.int64) * extent
    pages = cached[1] + b * cached[2]
    sum_MV = tl.zeros((M, PADDED_V), tl.float32)
    BEHIND: tl.constexpr = bias is not None
    for start in range(begin, whole_end, N):
        row = tl.load(pages + start // cached[4]).to(tl.int64) * cached[4] + start % cached[4]
        k_ND = load_whole_rows(k, k_blocks, h, row, 0, N, D, PADDED_D, OPERAND)
        v_NV = load_whole_rows(v, v_blocks, h, row, 0, N, V, PADDED_V, OPERAND)
        half_bias = _half_bias(bias, cached[0], tables, h, row, start, N, at_M, now_M, N)
        distance_M = at_M - start
        sum_MV = _add(
            sum_MV, q_MD, k_ND, v_NV, half_bias, distance_M, window, half_alpha, OPERAND, BEHIND
        )
    if whole_end < end:
        start = whole_end
        row = tl.load(pages + start // cached[4]).to(tl.int64) * cached[4] + start % cached[4]
        k_ND = load_rows(k, h, row, n_N, end - start, D, PADDED_D, OPERAND)
        v_NV = load_rows(v, h, row, n_N, end - start, V, PADDED_V, OPERAND)
        half_bias = _half_bias(bias, cached[0], tables, h, row, start, end - start, at_M, now_M, N)
        distance_M = at_M - start
        sum_MV = _add(
            sum_MV, q_MD, k_ND, v_NV, half_bias, distance_M, window, half_alpha, OPERAND, BEHIND
        )
    if own_k is not None:  # noqa: SIM102 - this is known to the compiler, the other is not
        if share == 0:
            k_MD = load_rows(own_k, h, first, i_M, count, D, PADDED_D, OPERAND).to(tl.float32)
            v_MV = load_rows(own_v, h, first, i_M, count, V, PADDED_V, OPERAND).to(tl.float32)
            itself = tl.load(tables[0] + h * tables[1]) + tl.load(tables[2] + h * tables[3])
            half_M = tl.sum(q_MD.to(tl.float32) * k_MD, 1) * half_alpha
            silu_M, _ = activation(half_M + itself.to(tl.float32) * 0.5, OPERAND)
            sum_MV += silu_M[:, None] * v_MV
    rows = (out[0] + share.to(tl.int64) * share_stride, out[1], out[2])
    store_rows(rows, sum_MV * scale, h, first, i_M, count, V)


@triton.jit
def _add(
    sum_MV,
    q_MD,
    k_ND,
    v_NV,
    half_bias,
    distance_M,
    window,
    half_alpha,
    OPERAND: tl.constexpr,
    BEHIND: tl.constexpr,
):
    """A sum with what one tile adds to it; distances are from its first key. Queries stand BEHIND
    all keys, or else keys may be behind them."""
    half_MN = dot(q_MD, tl.trans(k_ND)) * half_alpha + half_bias
    distance_MN = distance_M[:, None] - tl.arange(0, k_ND.shape[0])[None, :]
    if not BEHIND:
        half_MN = tl.where(distance_MN >= 0, half_MN, UNSEEN)
    if window is not None:
        half_MN = tl.where(distance_MN < window, half_MN, UNSEEN)
    silu_MN, _ = activation(half_MN, OPERAND)
    return dot(silu_MN.to(OPERAND), v_NV, sum_MV)


@triton.jit
def _half_bias(bias, key_time, tables, h, row, start, count, at_M, now_M, N: tl.constexpr):
    """Half the bias of a tile: of each key, or of each query and key."""
    n_N = tl.arange(0, N)
    inside_N = n_N < count
    if bias is None:
        time_N = tl.load(key_time + row + n_N, mask=inside_N, other=0)
        bucket = bucket_of((now_M[:, None] - time_N[None, :]).to(tl.float32), tables[3])
        distance = at_M[:, None] - (start + n_N)[None, :]
        place = tl.minimum(tl.maximum(distance, 0), tables[1] - 1)
        by_distance = tl.load(tables[0] + h * tables[1] + place).to(tl.float32)
        by_time = tl.load(tables[2] + h * tables[3] + bucket).to(tl.float32)
        half_bias = (by_distance + by_time) * 0.5
    else:
        half_bias = tl.load(bias + start + n_N, mask=inside_N, other=0)[None, :]
    return half_bias
