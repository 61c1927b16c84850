"""Where ids stand in a hash table of buckets: open addressing, an id's bucket or one of the next.

An id is in the bucket of its hash or, where that was full, in the next that was not; each bucket
counts the ids that went past it, so that a search ends where none did.

N ids asked for, n those still looked for · S buckets, a power of two · W slots of a bucket.
"""

import torch
from torch import Tensor

from kernels.hashing import hashed, key_of
from kernels.implementations import is_asked

ABSENT = -1

NO_ID = -(2**63)
"""Stands where no id is; the one int64 that is not an id."""


def find_slots(
    id_N: Tensor,
    id_SW: Tensor,
    passed_S: Tensor,
    key: int,
    implementation: str | None = None,
) -> Tensor:
    """Where each id stands, counting slots of all buckets; -1 where it does not: int64 [N].

    `id_SW` are the ids that stand in the buckets, int64; `passed_S` how many went past each, int32;
    the hash is `hashed(key, id)`. `implementation` is "triton" (the default on a GPU: one kernel,
    where "reference" asks the GPU after each bucket whether to go on).
    """
    if is_asked(id_N, implementation):
        from kernels.bucket_search_triton import search

        return search(id_N, id_SW, None, passed_S, key_of(key))
    return _by_reference(id_N, id_SW, passed_S, key)


def find_rows(
    id_N: Tensor,
    id_SW: Tensor,
    row_SW: Tensor,
    passed_S: Tensor,
    key: int,
    implementation: str | None = None,
) -> Tensor:
    """What `row_SW` (int32) has where each id stands, -1 where it does not: int64 [N]; the rest as
    of `find_slots`."""
    if is_asked(id_N, implementation):
        from kernels.bucket_search_triton import search

        return search(id_N, id_SW, row_SW, passed_S, key_of(key))
    slot_N = _by_reference(id_N, id_SW, passed_S, key)
    row_N = row_SW.view(-1).index_select(0, slot_N.clamp(min=0))
    return torch.where(slot_N >= 0, row_N.long(), ABSENT)


def place_rows_(
    id_n: Tensor,
    row_n: Tensor,
    id_SW: Tensor,
    row_SW: Tensor,
    passed_S: Tensor,
    key: int,
    implementation: str | None = None,
) -> None:
    """Puts ids that are not there into free slots, where NO_ID stands and of which there are
    enough, with their rows (int64). In which slot an id comes to stand where several have the same
    bucket is for the implementation, the rest as of `find_slots`."""
    if is_asked(id_n, implementation):
        from kernels.bucket_search_triton import place

        place(id_n, row_n, id_SW, row_SW, passed_S, key_of(key), NO_ID)
        return
    _placed_by_reference(id_n, row_n, id_SW, row_SW, passed_S, key)


def _by_reference(id_N: Tensor, id_SW: Tensor, passed_S: Tensor, key: int) -> Tensor:
    buckets, slots = id_SW.shape
    slot_N = torch.full_like(id_N, ABSENT)
    left_n = torch.arange(len(id_N), device=id_N.device)
    bucket_n = hashed(key, id_N) & (buckets - 1)
    while len(left_n):
        # On the CPU index_select is several times as fast as indexing.
        id_nW = id_SW.index_select(0, bucket_n)
        is_id_nW = id_nW == id_N.index_select(0, left_n).unsqueeze(1)
        found, slot = is_id_nW.nonzero(as_tuple=True)
        slot_N[left_n[found]] = bucket_n[found] * slots + slot
        goes_on_n = passed_S.index_select(0, bucket_n) > 0
        goes_on_n[found] = False
        left_n, bucket_n = left_n[goes_on_n], (bucket_n[goes_on_n] + 1) & (buckets - 1)
    return slot_N


def _placed_by_reference(
    id_n: Tensor, row_n: Tensor, id_SW: Tensor, row_SW: Tensor, passed_S: Tensor, key: int
) -> None:
    buckets = len(passed_S)
    bucket_n = hashed(key, id_n) & (buckets - 1)
    while len(id_n):
        order_n = torch.argsort(bucket_n, stable=True)
        id_n, row_n, bucket_n = id_n[order_n], row_n[order_n], bucket_n[order_n]
        is_free_nW = id_SW[bucket_n] == NO_ID
        nth_n1 = _nth_of_run(bucket_n).unsqueeze(1)
        is_own_nW = is_free_nW & (is_free_nW.cumsum(1, dtype=torch.int32) == nth_n1 + 1)
        placed, slot = is_own_nW.nonzero(as_tuple=True)
        id_SW[bucket_n[placed], slot] = id_n[placed]
        row_SW[bucket_n[placed], slot] = row_n[placed].int()
        goes_on_n = ~is_own_nW.any(1)
        id_n, row_n, bucket_n = id_n[goes_on_n], row_n[goes_on_n], bucket_n[goes_on_n]
        passed_S.index_add_(0, bucket_n, torch.ones_like(bucket_n, dtype=torch.int32))
        bucket_n = (bucket_n + 1) & (buckets - 1)


def _nth_of_run(sorted_n: Tensor) -> Tensor:
    """How many equal numbers stand before each in a sorted tensor."""
    return torch.arange(len(sorted_n), device=sorted_n.device) - torch.searchsorted(
        sorted_n, sorted_n
    )
