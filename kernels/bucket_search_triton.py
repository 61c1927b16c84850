"""The searches of `bucket_search` in Triton: a program looks for some ids until each is found or
not, or puts one in its place.

N ids asked for, n to be put in · W slots of a bucket.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.hashing_triton import mixed

IDS = 128
"""That a program looks for."""


def search(
    id_N: Tensor, id_SW: Tensor, row_SW: Tensor | None, passed_S: Tensor, key: int
) -> Tensor:
    """As `find_rows`, or without rows as `find_slots`, with the hash of the key; slots must be a
    power of two."""
    found_N = torch.empty_like(id_N, memory_format=torch.contiguous_format)
    if len(id_N):
        _search[(triton.cdiv(len(id_N), IDS),)](
            *(found_N, id_N.contiguous(), id_SW, row_SW, passed_S, key, len(id_N), len(id_SW)),
            W=id_SW.shape[1],
            N=IDS,
        )
    return found_N


def place(
    id_n: Tensor,
    row_n: Tensor,
    id_SW: Tensor,
    row_SW: Tensor,
    passed_S: Tensor,
    key: int,
    nobody: int,
) -> None:
    """As `place_rows_`, with the hash of the key; `nobody` stands where no id is."""
    if len(id_n):
        tensors = (id_n.contiguous(), row_n.contiguous(), id_SW, row_SW, passed_S)
        _place[(len(id_n),)](
            *tensors, key, len(id_SW), W=id_SW.shape[1], NOBODY=nobody, num_warps=1
        )


@triton.jit(do_not_specialize=["key", "count", "buckets"])
def _search(
    found_ptr,
    id_ptr,
    table_ptr,
    row_ptr,
    passed_ptr,
    key,
    count,
    buckets,
    W: tl.constexpr,
    N: tl.constexpr,
):
    n_N = tl.program_id(0).to(tl.int64) * N + tl.arange(0, N)
    w_W = tl.arange(0, W)
    is_left_N = n_N < count
    id_N = tl.load(id_ptr + n_N, mask=is_left_N, other=0)
    bucket_N = mixed(id_N ^ key) & (buckets - 1)
    found_N = tl.full((N,), -1, tl.int64)
    while tl.max(is_left_N.to(tl.int32), 0) > 0:
        at_NW = bucket_N[:, None] * W + w_W[None, :]
        id_NW = tl.load(table_ptr + at_NW, mask=is_left_N[:, None], other=0)
        place_N = tl.max(tl.where(id_NW == id_N[:, None], w_W[None, :] + 1, 0), 1)
        found_N = tl.where(is_left_N & (place_N > 0), bucket_N * W + place_N - 1, found_N)
        is_left_N &= place_N == 0
        is_left_N &= tl.load(passed_ptr + bucket_N, mask=is_left_N, other=0) > 0
        bucket_N = (bucket_N + 1) & (buckets - 1)
    if row_ptr is not None:
        found_N = tl.load(row_ptr + found_N, mask=found_N >= 0, other=-1).to(tl.int64)
    tl.store(found_ptr + n_N, found_N, mask=n_N < count)


@triton.jit(do_not_specialize=["key", "buckets"])
def _place(
    id_ptr,
    row_ptr,
    table_ptr,
    rows_ptr,
    passed_ptr,
    key,
    buckets,
    W: tl.constexpr,
    NOBODY: tl.constexpr,
):
    """Takes the first slot that is free when it comes to it; others look for theirs meanwhile."""
    id, row = tl.load(id_ptr + tl.program_id(0)), tl.load(row_ptr + tl.program_id(0))
    bucket = mixed(id ^ key) & (buckets - 1)
    slot, is_left = 0, True
    while is_left:
        at = bucket * W + slot
        is_left = tl.atomic_cas(table_ptr + at, NOBODY, id) != NOBODY
        if is_left:
            slot += 1
            if slot == W:
                tl.atomic_add(passed_ptr + bucket, 1)
                bucket = (bucket + 1) & (buckets - 1)
                slot = 0
        else:
            tl.store(rows_ptr + at, row.to(tl.int32))
