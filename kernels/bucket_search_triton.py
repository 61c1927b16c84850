"""The search of `bucket_search` in Triton: a program looks for some ids until each is found or not.

N ids asked for · W slots of a bucket.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.hashing_triton import mixed

IDS = 128
"""That a program looks for."""


def search(id_N: Tensor, id_SW: Tensor, passed_S: Tensor, key: int) -> Tensor:
    """As `find_slots`, with the hash of the key; slots must be a power of two."""
    slot_N = torch.empty_like(id_N, memory_format=torch.contiguous_format)
    if len(id_N):
        _search[(triton.cdiv(len(id_N), IDS),)](
            *(slot_N, id_N.contiguous(), id_SW, passed_S, key, len(id_N), len(id_SW)),
            W=id_SW.shape[1],
            N=IDS,
        )
    return slot_N


@triton.jit(do_not_specialize=["key", "count", "buckets"])
def _search(
    slot_ptr,
    id_ptr,
    table_ptr,
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
    slot_N = tl.full((N,), -1, tl.int64)
    while tl.max(is_left_N.to(tl.int32), 0) > 0:
        at_NW = bucket_N[:, None] * W + w_W[None, :]
        id_NW = tl.load(table_ptr + at_NW, mask=is_left_N[:, None], other=0)
        place_N = tl.max(tl.where(id_NW == id_N[:, None], w_W[None, :] + 1, 0), 1)
        slot_N = tl.where(is_left_N & (place_N > 0), bucket_N * W + place_N - 1, slot_N)
        is_left_N &= place_N == 0
        is_left_N &= tl.load(passed_ptr + bucket_N, mask=is_left_N, other=0) > 0
        bucket_N = (bucket_N + 1) & (buckets - 1)
    tl.store(slot_ptr + n_N, slot_N, mask=n_N < count)
