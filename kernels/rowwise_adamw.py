"""AdamW for some rows of a table, with one second moment a row.

AdamW, with its decoupled weight decay, is of Loshchilov and Hutter (ICLR 2019). Here its second
moment is one of the row as a whole, the mean of squares over the row, as FBGEMM's partial rowwise
Adam has it: the state of a row of width M is M + 2 numbers and not 2 M. A row counts its own steps.
So one seldom seen is corrected for bias at its own first steps, and while it is not seen it neither
decays nor moves.

R rows of a table · U rows that have a gradient, unique · M width.
"""

import torch
from torch import Tensor

from kernels.implementations import is_triton


def rowwise_adamw_(
    table_RM: Tensor,
    m_RM: Tensor,
    v_R: Tensor,
    step_R: Tensor,
    rows_U: Tensor,
    grad_UM: Tensor,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float = 0.0,
    implementation: str | None = None,
) -> None:
    """Steps the rows `rows_U` (int64, none twice) of the table and its state, in place.

    With s the row's steps, this one counted:

        m ← β₁ m + (1 - β₁) g            v ← β₂ v + (1 - β₂) mean(g²)
        w ← (1 - lr · decay) w - lr · (m / (1 - β₁^s)) / (√(v / (1 - β₂^s)) + eps)

    `m_RM` and `v_R` are float32 (or float64, with a table of it), `step_R` is int64, and all are
    zero before a row's first step. Raises ValueError for shapes that do not go together; rows out
    of range or named twice are not looked for.
    """
    _check(table_RM, m_RM, v_R, step_R, rows_U, grad_UM)
    factors = (lr, *betas, eps, 1 - lr * weight_decay)
    if is_triton(table_RM, implementation):
        from kernels.rowwise_adamw_triton import update

        update((table_RM, m_RM, v_R, step_R), rows_U, grad_UM, factors)
        return
    _by_reference((table_RM, m_RM, v_R, step_R), rows_U, grad_UM, factors)


def _check(
    table_RM: Tensor, m_RM: Tensor, v_R: Tensor, step_R: Tensor, rows_U: Tensor, grad_UM: Tensor
) -> None:
    if not (table_RM.shape == m_RM.shape and table_RM.shape[:1] == v_R.shape == step_R.shape):
        shapes = [tuple(tensor.shape) for tensor in (table_RM, m_RM, v_R, step_R)]
        raise ValueError(f"table, m, v and step are {shapes}, not [R, M], [R, M], [R] and [R]")
    if grad_UM.shape != (len(rows_U), table_RM.shape[1]):
        raise ValueError(
            f"the gradient is {tuple(grad_UM.shape)}, not {len(rows_U)} rows of {table_RM.shape[1]}"
        )


def _by_reference(
    states: tuple[Tensor, Tensor, Tensor, Tensor],
    rows_U: Tensor,
    grad_UM: Tensor,
    factors: tuple[float, float, float, float, float],
) -> None:
    table_RM, m_RM, v_R, step_R = states
    lr, beta1, beta2, eps, kept = factors
    step_U = step_R[rows_U] + 1
    step_R[rows_U] = step_U
    # In float32 the powers of betas near 1 are too coarse to be taken from 1.
    first_U, second_U = (1 - torch.pow(beta, step_U.double()) for beta in (beta1, beta2))
    rate_U, correction_U = (lr / first_U).to(v_R.dtype), (1 / second_U).to(v_R.dtype)
    grad_UM = grad_UM.to(m_RM.dtype)
    # index_select and index_copy_ are several times as quick as indexing by a tensor on a CPU.
    m_UM = beta1 * m_RM.index_select(0, rows_U) + (1 - beta1) * grad_UM
    v_U = beta2 * v_R[rows_U] + (1 - beta2) * grad_UM.square().mean(1)
    step_UM = rate_U[:, None] * m_UM / ((correction_U * v_U).sqrt() + eps)[:, None]
    m_RM.index_copy_(0, rows_U, m_UM)
    v_R[rows_U] = v_U
    table_UM = kept * table_RM.index_select(0, rows_U).to(m_RM.dtype) - step_UM
    table_RM.index_copy_(0, rows_U, table_UM.to(table_RM.dtype))
