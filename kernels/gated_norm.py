"""The norm of what attention gave, gated element by element, with dropout.

Zhai et al., "Actions Speak Louder than Words", ICML 2024, equation 3: Norm(A(X)V(X)) ⊙ U(X).

T tokens of all sequences, end to end · M width of a row.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import layer_norm

from kernels.dropout import NO_DROPOUT, Dropout
from kernels.implementations import is_triton


def gated_norm(
    x_TM: Tensor,
    weight_M: Tensor,
    bias_M: Tensor,
    gate_TM: Tensor,
    *,
    eps: float,
    dropout: Dropout = NO_DROPOUT,
    implementation: str | None = None,
) -> Tensor:
    """LayerNorm(x) ⊙ gate, with dropout: [T, M], of the type of x.

    `implementation` is "triton" (the default on a GPU for float32 and bfloat16; sums are float32,
    and only what is given is kept for the backward) or "reference". Raises ValueError for shapes
    that do not go together.
    """
    _check(x_TM, weight_M, bias_M, gate_TM, dropout)
    if is_triton(x_TM, implementation):
        y_TM: Tensor = _GatedNorm.apply(x_TM, weight_M, bias_M, gate_TM, dropout, eps)
        return y_TM
    return reference_gated_norm(x_TM, weight_M, bias_M, gate_TM, eps=eps, dropout=dropout)


def reference_gated_norm(
    x_TM: Tensor,
    weight_M: Tensor,
    bias_M: Tensor,
    gate_TM: Tensor,
    *,
    eps: float,
    dropout: Dropout = NO_DROPOUT,
) -> Tensor:
    """As `gated_norm`, in plain PyTorch and any float type."""
    norm_TM = layer_norm(x_TM, x_TM.shape[1:], weight_M.to(x_TM.dtype), bias_M.to(x_TM.dtype), eps)
    y_TM = norm_TM * gate_TM
    return y_TM * dropout.factor(x_TM).to(y_TM.dtype) if dropout.rate else y_TM


def _check(
    x_TM: Tensor, weight_M: Tensor, bias_M: Tensor, gate_TM: Tensor, dropout: Dropout
) -> None:
    if not (x_TM.shape == gate_TM.shape and x_TM.shape[1:] == weight_M.shape == bias_M.shape):
        shapes = [tuple(tensor.shape) for tensor in (x_TM, weight_M, bias_M, gate_TM)]
        raise ValueError(f"x, weight, bias and gate are {shapes}, not [T, M], [M], [M] and [T, M]")
    if dropout.keys_T is not None and len(dropout.keys_T) != len(x_TM):
        raise ValueError(f"dropout has {len(dropout.keys_T)} keys for {len(x_TM)} rows")


class _GatedNorm(torch.autograd.Function):
    """Triton's forward and backward; keeps its arguments for the backward, and nothing else."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        """`arguments` are x, weight, bias, gate, dropout and eps."""
        from kernels.gated_norm_triton import forward

        ctx.save_for_backward(*arguments[:4])
        ctx.options = arguments[4:]
        return forward(*arguments)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_TM: Tensor) -> tuple[Tensor | None, ...]:
        """A gradient an argument, None for the options."""
        from kernels.gated_norm_triton import backward

        return *backward(dy_TM, *ctx.saved_tensors, *ctx.options), None, None
