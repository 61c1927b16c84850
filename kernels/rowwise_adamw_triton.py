"""The step of `rowwise_adamw_` in Triton: a program takes some rows and reads and writes them once.

R rows of a table · U rows that have a gradient · M width.
"""

import triton
import triton.language as tl
from torch import Tensor

ENTRIES = 2048
"""Of the table, that a program holds at a time."""


def update(
    states: tuple[Tensor, Tensor, Tensor],
    of_rows: tuple[Tensor, Tensor, Tensor, Tensor],
    factors: tuple[float, float, float, float],
) -> None:
    """Steps rows of (table, m, v), given (rows, gradient, lr / (1 - β₁^s), 1 / (1 - β₂^s)) and
    (β₁, β₂, eps, 1 - lr · decay)."""
    if any(not tensor.is_contiguous() for tensor in states):
        raise ValueError("the table and its state must be contiguous")
    rows_U, grad_UM, rate_U, correction_U = of_rows
    rows, width = grad_UM.shape
    block_width = triton.next_power_of_2(width)
    block_rows = max(1, ENTRIES // block_width)
    _update[(triton.cdiv(rows, block_rows),)](
        *states,
        *(rows_U.contiguous(), grad_UM.contiguous(), rate_U, correction_U),
        *factors,
        rows,
        width,
        BLOCK_U=block_rows,
        BLOCK_M=block_width,
    )


@triton.jit
def _update(
    table_ptr,
    m_ptr,
    v_ptr,
    rows_ptr,
    grad_ptr,
    rate_ptr,
    correction_ptr,
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
    v_U = tl.load(v_ptr + row_U, mask=is_row_U, other=0.0)
    v_U = beta2 * v_U + (1 - beta2) * (tl.sum(grad_UM * grad_UM, 1) / width)
    rate_U = tl.load(rate_ptr + u_U, mask=is_row_U, other=0.0)
    correction_U = tl.load(correction_ptr + u_U, mask=is_row_U, other=0.0)
    step_UM = rate_U[:, None] * m_UM / (tl.sqrt(correction_U * v_U) + eps)[:, None]
    table_UM = tl.load(table_ptr + entry_UM, mask=is_entry_UM, other=0.0).to(tl.float32)

    tl.store(m_ptr + entry_UM, m_UM, mask=is_entry_UM)
    tl.store(v_ptr + row_U, v_U, mask=is_row_U)
    tl.store(table_ptr + entry_UM, kept * table_UM - step_UM, mask=is_entry_UM)
