"""An HSTU block in plain PyTorch and plain autograd: what the fast block must agree with.

T tokens of all sequences, end to end · H heads · D width of a query or key head · V width of a
value head · M model width · F = H · (2 V + 2 D) · G = H · V.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import linear

from kernels.attention_checks import check_attention
from kernels.attention_mask import Mask
from kernels.dropout import Dropout
from kernels.gated_norm import reference_gated_norm
from kernels.hstu_attention_reference import reference_attention
from kernels.norm_linear import reference_norm_linear
from kernels.relative_bias import RelativeBias


class BlockWeights(NamedTuple):
    """The weights of a block, of any float types. The columns F are U, V, Q and K, in that order,
    each head by head."""

    norm_weight_M: Tensor
    norm_bias_M: Tensor
    uvqk_weight_MF: Tensor
    uvqk_bias_F: Tensor
    gate_norm_weight_G: Tensor
    gate_norm_bias_G: Tensor
    output_weight_GM: Tensor
    output_bias_M: Tensor


@dataclass(frozen=True)
class BlockShape:
    """The numbers of a block; only `longest` is of a batch."""

    longest: int
    heads: int
    query_width: int
    value_width: int
    divisor: float | None
    eps: float
    window: int | None

    @property
    def gated(self) -> int:
        """G: the width of all value heads together."""
        return self.heads * self.value_width

    @property
    def alpha(self) -> float:
        """What q·k is multiplied by: the square root of D takes its size from it."""
        return float(self.query_width**-0.5)

    @property
    def sum_divisor(self) -> float:
        """What sums of attention are divided by; see `hstu_block`."""
        return 1.0 if self.divisor is None else self.divisor

    @property
    def gate_eps(self) -> float:
        """eps for the norm of divided sums: the same part of them as eps is of whole ones."""
        return self.eps / self.sum_divisor**2

    def parts(self, uvqk_TF: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """U as [T, G] and the heads' V, Q and K as [T, H, …], all views."""
        keys = self.heads * self.query_width
        u_TG, *parts = uvqk_TF.split([self.gated, self.gated, keys, keys], 1)
        v_THV, q_THD, k_THD = (part.unflatten(1, (self.heads, -1)) for part in parts)
        return u_TG, v_THV, q_THD, k_THD


def reference_block(
    x_TM: Tensor,
    weights: BlockWeights,
    offsets_B1: Tensor,
    shape: BlockShape,
    *,
    bias: RelativeBias | None = None,
    targets_B: Tensor | None = None,
    dropout: Dropout,
    pointwise: bool = True,
) -> Tensor:
    """As `hstu_block`. Not `pointwise` is attention by softmax, which has no divisor."""
    uvqk_TF = reference_norm_linear(x_TM, *weights[:4], eps=shape.eps)
    u_TG, v_THV, q_THD, k_THD = shape.parts(uvqk_TF)
    mask = Mask(targets_B, shape.window)
    check_attention(q_THD, k_THD, v_THV, offsets_B1, shape.longest, bias, mask)
    sums_THV = reference_attention(
        *(q_THD, k_THD, v_THV, offsets_B1),
        bias=bias,
        mask=mask,
        alpha=shape.alpha,
        divisor=shape.sum_divisor,
        pointwise=pointwise,
    )
    eps = shape.gate_eps if pointwise else shape.eps
    gated_TG = reference_gated_norm(
        sums_THV.flatten(1), *weights[4:6], u_TG, eps=eps, dropout=dropout
    )
    kind = x_TM.dtype
    return x_TM + linear(
        gated_TG, weights.output_weight_GM.to(kind).T, weights.output_bias_M.to(kind)
    )
