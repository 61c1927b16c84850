"""The sums of `pooled_rows` in Triton: a program is a bag, or a row of the table, and adds up some.

Both are one kernel: it adds up rows of a source, each times a factor, that a list names. Forward
the list are the rows of a bag; backward, the bags that asked for a row, by a stable sort. A row
that is asked for very often is added up in pieces first, so that no program has much more to do
than others; how many pieces there are is not known on the host, so there are as many as may be.

U rows of the table · N rows asked for · E bags · M width · X results · R rows added at a time.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

ENTRIES = 1024
"""Of the source, that a program holds at a time."""

PIECE = 128
"""Most rows of a piece."""


def pooled(table_UM: Tensor, row_N: Tensor, offsets_E1: Tensor) -> Tensor:
    """The mean of the rows of each bag: [E, M]."""
    return _sums(table_UM, row_N, offsets_E1, None, table_UM.dtype, is_mean=True)


def scattered(dpooled_EM: Tensor, row_N: Tensor, offsets_E1: Tensor | None, rows: int) -> Tensor:
    """The gradient of the table, [U, M]: of each row the sum of those of the bags that have it,
    divided by how many rows they have."""
    sorted_N, bag_N = row_N.sort(stable=True)
    factor_E = None
    if offsets_E1 is not None:
        length_E = offsets_E1.diff()
        factor_E = 1 / length_E.clamp(min=1).float()
        bags_E = torch.arange(len(length_E), device=row_N.device)
        bag_N = bags_E.repeat_interleave(length_E, output_size=len(row_N))[bag_N]
    offsets_U1 = torch.searchsorted(sorted_N, torch.arange(rows + 1, device=row_N.device))
    piece_U1, offsets_X1 = _pieces(offsets_U1, len(row_N))
    piece_XM = _sums(dpooled_EM, bag_N, offsets_X1, factor_E, torch.float32)
    return _sums(piece_XM, None, piece_U1, None, dpooled_EM.dtype)


def _pieces(offsets_U1: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Which pieces each row has, and where each begins in the list; those beyond the last are
    empty."""
    count_U = (offsets_U1.diff() + PIECE - 1) // PIECE
    piece_U1 = torch.cat([count_U.new_zeros(1), count_U.cumsum(0)])
    most = len(count_U) + number // PIECE
    piece_X1 = torch.arange(most + 1, device=offsets_U1.device)
    row_X1 = torch.searchsorted(piece_U1, piece_X1, right=True) - 1
    begin_X1 = offsets_U1[row_X1] + (piece_X1 - piece_U1[row_X1]) * PIECE
    return piece_U1, begin_X1.clamp(max=number)


def _sums(
    source_UM: Tensor,
    row_N: Tensor | None,
    offsets_X1: Tensor,
    factor_U: Tensor | None,
    kind: torch.dtype,
    *,
    is_mean: bool = False,
) -> Tensor:
    """[X, M]; without a list of rows each result has those of its offsets."""
    results, width = len(offsets_X1) - 1, source_UM.shape[1]
    sum_XM = source_UM.new_empty(results, width, dtype=kind)
    padded = triton.next_power_of_2(width)
    if results:
        _sum_rows[(results,)](
            *(sum_XM, source_UM.contiguous(), None if row_N is None else row_N.contiguous()),
            *(offsets_X1.contiguous(), factor_U, width),
            IS_MEAN=is_mean,
            R=max(ENTRIES // padded, 1),
            M=padded,
            num_warps=1 if padded <= ENTRIES else 4,
        )
    return sum_XM


@triton.jit
def _sum_rows(
    sum_ptr,
    source_ptr,
    row_ptr,
    offsets_ptr,
    factor_ptr,
    width,
    IS_MEAN: tl.constexpr,
    R: tl.constexpr,
    M: tl.constexpr,
):
    x = tl.program_id(0).to(tl.int64)
    m_M, r_R = tl.arange(0, M), tl.arange(0, R)
    begin, end = tl.load(offsets_ptr + x), tl.load(offsets_ptr + x + 1)
    sum_M = tl.zeros((M,), tl.float32)
    for first in range(begin, end, R):
        is_row_R = first + r_R < end
        row_R = first + r_R
        if row_ptr is not None:
            row_R = tl.load(row_ptr + row_R, mask=is_row_R, other=0)
        inside_RM = is_row_R[:, None] & (m_M < width)[None, :]
        at_RM = row_R[:, None] * width + m_M[None, :]
        source_RM = tl.load(source_ptr + at_RM, mask=inside_RM, other=0).to(tl.float32)
        if factor_ptr is not None:
            source_RM *= tl.load(factor_ptr + row_R, mask=is_row_R, other=0)[:, None]
        sum_M += tl.sum(source_RM, 0)
    if IS_MEAN:
        sum_M /= tl.maximum(end - begin, 1).to(tl.float32)
    tl.store(sum_ptr + x * width + m_M, sum_M, mask=m_M < width)
