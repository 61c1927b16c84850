"""Numbers that are on a device once and for all: each time that they are brought there, what runs
on it is waited for."""

from functools import cache

import torch
from torch import Tensor


@cache
def constant(
    numbers: tuple[int, ...], device: torch.device, dtype: torch.dtype = torch.int64
) -> Tensor:
    """The numbers as a tensor, which nobody must change: [n]."""
    return torch.tensor(numbers, dtype=dtype, device=device)
