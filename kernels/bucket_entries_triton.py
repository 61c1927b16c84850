"""Sums by bucket in Triton: a program takes a share of what there is.

N numbers to add up · C buckets · S shares · E numbers that a program takes at a time.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

SHARES = 512
AT_ONCE = 256


def sums(x_N: Tensor, bucket_N: Tensor, buckets: int) -> Tensor:
    """[C], in the type of x: the sum of what is in each bucket, added in float32."""
    padded = max(triton.next_power_of_2(buckets), 16)
    shares = max(min(SHARES, triton.cdiv(len(x_N), AT_ONCE)), 1)
    sum_SC = torch.empty(shares, padded, dtype=torch.float32, device=x_N.device)
    _sum_share[(shares,)](sum_SC, x_N, bucket_N, len(x_N), C=padded, E=AT_ONCE)
    return sum_SC.sum(0)[:buckets].to(x_N.dtype)


@triton.jit(do_not_specialize=["number"])
def _sum_share(sums, x, bucket, number, C: tl.constexpr, E: tl.constexpr):
    """The sums of every so many-th piece."""
    c_C = tl.arange(0, C)
    sum_C = tl.zeros((C,), tl.float32)
    for first in range(tl.program_id(0) * E, number, tl.num_programs(0) * E):
        at_E = first + tl.arange(0, E)
        x_E = tl.load(x + at_E, mask=at_E < number, other=0).to(tl.float32)
        bucket_E = tl.load(bucket + at_E, mask=at_E < number, other=0).to(tl.int32)
        is_in_EC = bucket_E[:, None] == c_C[None, :]
        sum_C += tl.sum(tl.where(is_in_EC, x_E[:, None], 0.0), 0)
    tl.store(sums + tl.program_id(0) * C + c_C, sum_C)
