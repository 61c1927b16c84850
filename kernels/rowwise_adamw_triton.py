"""The step of `rowwise_adamw_` in Triton: a program takes some rows and reads and writes them once.

R rows of a table · U rows that have a gradient · M width.
"""

import math
from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

ENTRIES = 2048
"""Of the table, that a program holds at a time."""

NEGLIGIBLE = 2.0**-30
"""A power of a beta that a float32 near 1 does not show."""


def update(
    states: tuple[Tensor, Tensor, Tensor, Tensor],
    rows_U: Tensor,
    grad_UM: Tensor,
    factors: tuple[float, float, float, float, float],
) -> None:
    """Steps rows of (table, m, v, step), given (lr, β₁, β₂, eps, 1 - lr · decay)."""
    if any(not tensor.is_contiguous() for tensor in states):
        raise ValueError("the table and its state must be contiguous")
    first_S, second_S = (corrections(beta, rows_U.device) for beta in factors[1:3])
    rows, width = grad_UM.shape
    block_width = triton.next_power_of_2(width)
    block_rows = max(1, ENTRIES // block_width)
    _update[(triton.cdiv(rows, block_rows),)](
        *states,
        *(rows_U.contiguous(), grad_UM.contiguous()),
        *(first_S, second_S, len(first_S) - 1, len(second_S) - 1),
        *factors,
        rows,
        width,
        BLOCK_U=block_rows,
        BLOCK_M=block_width,
    )


@cache
def corrections(beta: float, device: torch.device) -> Tensor:
    """1 / (1 - βˢ) by s, float32, until it is 1 for good; reckoned in float64, as the powers of a
    beta near 1 are too coarse in float32 to be taken from 1. Of no step (s = 0) it is 1."""
    last = 1 if beta == 0 else math.ceil(math.log(NEGLIGIBLE) / math.log(beta)) + 1
    step_S = torch.arange(last + 1, dtype=torch.float64)
    correction_S = 1 / (1 - beta**step_S)
    correction_S[0] = 1
    return correction_S.float().to(device)


@triton.jit
def _update(
    table_ptr,
    m_ptr,
    v_ptr,
    step_ptr,
    rows_ptr,
    grad_ptr,
    first_ptr,
    second_ptr,
    first_last,
    second_last,
    lr,
    beta1,
    beta2,
    eps,
    kept,
    rows,
    width,
    BLOCK_U: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    u_U = tl.program_id(0) * BLOCK_U + tl.arange(0, BLOCK_U)
    m_M = tl.arange(0, BLOCK_M)
    is_row_U = u_U < rows
    is_entry_UM = is_row_U[:, None] & (m_M < width)[None, :]
    row_U = tl.load(rows_ptr + u_U, mask=is_row_U, other=0)
    entry_UM = row_U[:, None] * width + m_M[None, :]
    grad_at_UM = u_U.to(tl.int64)[:, None] * width + m_M[None, :]

    grad_UM = tl.load(grad_ptr + grad_at_UM, mask=is_entry_UM, other=0.0).to(tl.float32)
    m_UM = beta1 * tl.load(m_ptr + entry_UM, mask=is_entry_UM, other=0.0) + (1 - beta1) * grad_UM
    # Several warps may load them, before they meet in the sum; none stores before that.
    step_U = tl.load(step_ptr + row_U, mask=is_row_U, other=0) + 1
    v_U = tl.load(v_ptr + row_U, mask=is_row_U, other=0.0)
    v_U = beta2 * v_U + (1 - beta2) * (tl.sum(grad_UM * grad_UM, 1) / width)
    rate_U = lr * tl.load(first_ptr + tl.minimum(step_U, first_last))
    correction_U = tl.load(second_ptr + tl.minimum(step_U, second_last))
    step_UM = rate_U[:, None] * m_UM / (tl.sqrt(correction_U * v_U) + eps)[:, None]
    table_UM = tl.load(table_ptr + entry_UM, mask=is_entry_UM, other=0.0).to(tl.float32)

    tl.store(m_ptr + entry_UM, m_UM, mask=is_entry_UM)
    tl.store(v_ptr + row_U, v_U, mask=is_row_U)
    tl.store(step_ptr + row_U, step_U, mask=is_row_U)
    tl.store(table_ptr + entry_UM, kept * table_UM - step_UM, mask=is_entry_UM)
