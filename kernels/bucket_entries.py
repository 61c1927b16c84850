"""Entries of a small table, asked for very often: a bias for each bucket.

PyTorch's gradient of it adds with an atomic an entry, on a GPU millions of them to a hundred
places. Here programs add up what they see by bucket, and then their sums, in one order.

N numbers of buckets, in any shape · C entries of the table.
"""

from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from kernels.implementations import is_triton

MOST = 256
"""Entries of a table that Triton takes."""


def bucket_entries(table_C: Tensor, bucket_N: Tensor, implementation: str | None = None) -> Tensor:
    """The entry of each bucket (int64, each below C), in their shape and the table's type.

    `implementation` is "triton" (the default on a GPU for float32 and bfloat16 and up to MOST
    entries; for the gradient, whose sums are float32) or "reference". Raises ValueError where
    Triton is asked for and the table is larger.
    """
    if implementation == "triton" and len(table_C) > MOST:
        raise ValueError(f"a table has {len(table_C)} entries; Triton's kernel takes {MOST}")
    if is_triton(table_C, implementation) and len(table_C) <= MOST:
        entry_N: Tensor = _Entries.apply(table_C, bucket_N)
        return entry_N
    return _entries(table_C, bucket_N)


def _entries(table_C: Tensor, bucket_N: Tensor) -> Tensor:
    return table_C.index_select(0, bucket_N.flatten()).view(bucket_N.shape)


class _Entries(Function):
    """Keeps the buckets."""

    @staticmethod
    def forward(ctx: Any, table_C: Tensor, bucket_N: Tensor) -> Tensor:
        """As the reference."""
        ctx.save_for_backward(bucket_N)
        ctx.entries = len(table_C)
        return _entries(table_C, bucket_N)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dentry_N: Tensor) -> tuple[Tensor, None]:
        """That of the table alone."""
        from kernels.bucket_entries_triton import sums

        return sums(dentry_N.flatten(), ctx.saved_tensors[0].flatten(), ctx.entries), None
