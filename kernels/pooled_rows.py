"""Rows of a table, gathered: each by itself, or the mean of some; with a gradient in one order.

U rows of the table · N rows asked for, repetition allowed · E bags of them · M width.
"""

from typing import Any

import torch
import torch.nn.functional as fn
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.implementations import is_triton


def pooled_rows(
    table_UM: Tensor,
    row_N: Tensor,
    offsets_E1: Tensor | None = None,
    implementation: str | None = None,
) -> Tensor:
    """The mean of each bag's rows, zero where it has none: [E, M], of the table's type.

    Bag e has the rows `row_N[offsets_E1[e]:offsets_E1[e + 1]]`, both int64; without offsets each
    row is a bag, and E is N. Offsets begin with 0, ascend and end with N. `implementation` is
    "triton" (the default on a GPU for float32 and bfloat16; sums are float32, also those of a
    gradient, in the order in which rows are asked for) or "reference". Raises ValueError for shapes
    that do not go together; rows out of range are not looked for.
    """
    if table_UM.dim() != 2 or row_N.dim() != 1:
        shapes = tuple(table_UM.shape), tuple(row_N.shape)
        raise ValueError(f"table and rows are {shapes[0]} and {shapes[1]}, not [U, M] and [N]")
    if is_triton(table_UM, implementation):
        pooled_EM: Tensor = _PooledRows.apply(table_UM, row_N, offsets_E1)
        return pooled_EM
    if offsets_E1 is None:
        return table_UM[row_N]
    return fn.embedding_bag(row_N, table_UM, offsets_E1, mode="mean", include_last_offset=True)


class _PooledRows(torch.autograd.Function):
    """Triton's forward and backward; keeps which rows were asked for, and none of them."""

    @staticmethod
    def forward(ctx: Any, table_UM: Tensor, row_N: Tensor, offsets_E1: Tensor | None) -> Tensor:
        """As `pooled_rows`; a gather is PyTorch's."""
        ctx.save_for_backward(row_N, offsets_E1)
        ctx.rows = len(table_UM)
        if offsets_E1 is None:
            return table_UM.index_select(0, row_N)
        from kernels.pooled_rows_triton import pooled

        return pooled(table_UM, row_N, offsets_E1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dpooled_EM: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the table."""
        from kernels.pooled_rows_triton import scattered

        row_N, offsets_E1 = ctx.saved_tensors
        return scattered(dpooled_EM, row_N, offsets_E1, ctx.rows), None, None
