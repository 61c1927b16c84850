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

        return search(id_N, id_SW, passed_S, key_of(key))
    return _by_reference(id_N, id_SW, passed_S, key)


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
