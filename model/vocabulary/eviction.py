"""Which ids lose their rows: those not seen for long, and beyond the capacity those seen least
recently, over all processes.

Legend: N numbers or ids of this process.
"""

import torch
from torch import Tensor

from kernels.hashing import hashed, key_of
from model.exchange import Exchange

FREED_AT_ONCE = 16
"""A full table frees one row in so many, so that it need not be sorted at every step."""

AGE_GRAIN = 64
"""Age is looked at this often in the time of the greatest age."""

_KEY = key_of(0xE71C)
_LEAST, _MOST = -(2**63), 2**63 - 1


def oldest_allowed(now_ms: int, max_age: int) -> int:
    """What was last seen before this time goes; it moves in steps of a part of the age, ms."""
    grain = max(1, max_age // AGE_GRAIN)
    return (now_ms - max_age) // grain * grain


def surplus_of(rows: int, capacity: int) -> int:
    """How many of so many rows must go: none up to the capacity, then a part of all at once."""
    return 0 if rows <= capacity else rows - (capacity - capacity // FREED_AT_ONCE)


def least_recent(id_N: Tensor, last_seen_N: Tensor, count: int, exchange: Exchange) -> Tensor:
    """Which ids are among the `count` of all processes that were seen longest ago: bool [N].

    Of ids last seen at the same time those of the smallest hashes go.
    """
    time = nth_smallest(last_seen_N, count, exchange)
    is_before_N, is_then_N = last_seen_N < time, last_seen_N == time
    before = int(exchange.sum_(is_before_N.sum()))
    hash_N = hashed(_KEY, id_N)
    hash_limit = nth_smallest(hash_N[is_then_N], count - before, exchange)
    return is_before_N | (is_then_N & (hash_N <= hash_limit))


def nth_smallest(number_N: Tensor, n: int, exchange: Exchange) -> int:
    """The n-th smallest (from 1) of the int64 numbers of all processes, by bisection."""
    sorted_N = number_N.sort().values
    low, high = _LEAST, _MOST
    while low < high:
        middle = (low + high) // 2
        bound = torch.tensor([middle], device=sorted_N.device)
        below = torch.searchsorted(sorted_N, bound, right=True)
        low, high = (low, middle) if int(exchange.sum_(below)) >= n else (middle + 1, high)
    return low
