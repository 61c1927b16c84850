"""Draws of rows and columns by hash, on a GPU by one kernel.

T rows, M columns.
"""

import torch
from torch import Tensor

from kernels.hashing import uniform
from kernels.implementations import is_asked


def uniform_rows(
    key: int, row_T: Tensor, columns: int, implementation: str | None = None
) -> Tensor:
    """`uniform` of each row's number (int64) and each column's place: float32 [T, M].

    `implementation` is "triton" (the default on a GPU), which writes the result and nothing else,
    or "reference". Both have the same bits.
    """
    if is_asked(row_T, implementation):
        from kernels.hashing_triton import drawn_rows

        return drawn_rows(key, row_T, columns)
    return uniform(key, row_T[:, None], torch.arange(columns, device=row_T.device))
