"""What the queries, keys, values and gates of a block are made by: SiLU(LayerNorm(x) W + b).

Zhai et al., "Actions Speak Louder than Words", ICML 2024, equation 1. The norm is of `gated_norm`,
without a gate; the matrix product is PyTorch's, which adds the bias as it writes.

T tokens of all sequences, end to end · M model width · F width of the result.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import layer_norm, linear, silu

from kernels.implementations import is_triton


def norm_linear(
    x_TM: Tensor,
    norm_weight_M: Tensor,
    norm_bias_M: Tensor,
    weight_MF: Tensor,
    bias_F: Tensor,
    *,
    eps: float,
    implementation: str | None = None,
) -> Tensor:
    """SiLU(LayerNorm(x) W + b): [T, F], of the type of x.

    Weights may be of a wider type: they are rounded to that of x for the product, and their
    gradients are of their own. `implementation` is "triton" (the default on a GPU for float32 and
    bfloat16), which keeps x and what SiLU is given for the backward, or "reference". Raises
    ValueError for shapes that do not go together.
    """
    if not (
        x_TM.shape[1:] == norm_weight_M.shape == norm_bias_M.shape == weight_MF.shape[:1]
        and weight_MF.shape[1:] == bias_F.shape
    ):
        tensors = (x_TM, norm_weight_M, norm_bias_M, weight_MF, bias_F)
        shapes = [tuple(tensor.shape) for tensor in tensors]
        raise ValueError(f"the shapes {shapes} are not [T, M], [M], [M], [M, F] and [F]")
    if is_triton(x_TM, implementation):
        y_TF: Tensor = _NormLinear.apply(x_TM, norm_weight_M, norm_bias_M, weight_MF, bias_F, eps)
        return y_TF
    return reference_norm_linear(x_TM, norm_weight_M, norm_bias_M, weight_MF, bias_F, eps=eps)


def reference_norm_linear(
    x_TM: Tensor,
    norm_weight_M: Tensor,
    norm_bias_M: Tensor,
    weight_MF: Tensor,
    bias_F: Tensor,
    *,
    eps: float,
) -> Tensor:
    """As `norm_linear`, in plain PyTorch and any float type."""
    kind = x_TM.dtype
    norm_TM = layer_norm(x_TM, x_TM.shape[1:], norm_weight_M.to(kind), norm_bias_M.to(kind), eps)
    return silu(linear(norm_TM, weight_MF.to(kind).T, bias_F.to(kind)))


def projected(
    x_TM: Tensor,
    norm_weight_M: Tensor,
    norm_bias_M: Tensor,
    weight_MF: Tensor,
    bias_F: Tensor,
    *,
    eps: float,
) -> Tensor:
    """What SiLU is given, [T, F]: by Triton and without autograd, for operators that have it."""
    from kernels.gated_norm_triton import forward

    norm_TM = forward(x_TM, norm_weight_M, norm_bias_M, eps=eps)
    return torch.addmm(bias_F.to(x_TM.dtype), norm_TM, weight_MF.to(x_TM.dtype))


def projected_backward(
    dy_TF: Tensor,
    x_TM: Tensor,
    norm_weight_M: Tensor,
    norm_bias_M: Tensor,
    weight_MF: Tensor,
    *,
    eps: float,
) -> tuple[Tensor, ...]:
    """The gradients of the five tensors that `projected` is given, the bias too; autograd brings
    them to the types of the weights. The norm is reckoned again."""
    from kernels.gated_norm_triton import backward, forward

    norm_TM = forward(x_TM, norm_weight_M, norm_bias_M, eps=eps)
    dnorm_TM, dweight_MF, dbias_F = linear_backward(dy_TF, norm_TM, weight_MF)
    dx_TM, *dnorm = backward(dnorm_TM, x_TM, norm_weight_M, norm_bias_M, eps=eps)
    return dx_TM, *dnorm, dweight_MF, dbias_F


def linear_backward(
    dy_TF: Tensor, x_TM: Tensor, weight_MF: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, W and b in x W + b; that of b is float32."""
    dx_TM = dy_TF @ weight_MF.to(dy_TF.dtype).T
    return dx_TM, x_TM.T @ dy_TF, dy_TF.sum(0, dtype=torch.float32)


class _NormLinear(torch.autograd.Function):
    """Keeps x and what SiLU is given for the backward, and neither the norm nor the result."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        """`arguments` are x, the norm's weight and bias, weight, bias and eps."""
        *given, ctx.eps = arguments
        before_TF = projected(*given, eps=ctx.eps)
        ctx.save_for_backward(*given, before_TF)
        return silu(before_TF)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_TF: Tensor) -> tuple[Tensor | None, ...]:
        """A gradient an argument, None for eps."""
        *given, before_TF = ctx.saved_tensors
        dbefore_TF = torch.ops.aten.silu_backward(dy_TF, before_TF)
        return *projected_backward(dbefore_TF, *given[:4], eps=ctx.eps), None
