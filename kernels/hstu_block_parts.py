"""An HSTU block in two parts, before and after attention, for keys and values that are kept.

Zhai et al., "Actions Speak Louder than Words", ICML 2024, equations 1 and 3. No autograd.

T tokens · H heads · D width of a query or key head · V width of a value head · M model width ·
G = H · V.
"""

import torch
from torch import Tensor

from kernels.gated_norm import gated_norm
from kernels.hstu_block_reference import BlockShape, BlockWeights
from kernels.norm_linear import norm_linear


def before_attention(
    x_TM: Tensor, weights: BlockWeights, shape: BlockShape, implementation: str | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """U as [T, G] and the heads' V, Q and K as [T, H, …], all views of one tensor."""
    uvqk_TF = norm_linear(x_TM, *weights[:4], eps=shape.eps, implementation=implementation)
    return shape.parts(uvqk_TF)


def after_attention(
    x_TM: Tensor,
    sums_THV: Tensor,
    u_TG: Tensor,
    weights: BlockWeights,
    shape: BlockShape,
    implementation: str | None = None,
) -> Tensor:
    """X + Linear(LayerNorm(sums) ⊙ U), the block's result, where sums are divided by the shape's
    divisor: [T, M]."""
    norm, kind = weights[4:6], x_TM.dtype
    gated_TG = gated_norm(
        sums_THV.flatten(1), *norm, u_TG, eps=shape.gate_eps, implementation=implementation
    )
    residual_TM = x_TM + weights.output_bias_M.to(kind)
    return torch.addmm(residual_TM, gated_TG, weights.output_weight_GM.to(kind))
