"""An HSTU block that keeps little for its backward pass, and reckons the rest again.

Zhai et al., "Actions Speak Louder than Words", ICML 2024, equations 1 to 3 and section 3.3. Kept of
a token are its input (M numbers), U, V, Q and K before SiLU (F), and what attention gave (G). With
M = H · D = H · V = d that is 6 d numbers, 12 d bytes in bfloat16, where the paper has 14 d.

B sequences of a batch · T tokens of all sequences, end to end · H heads · D width of a query or key
head · V width of a value head · M model width · F = H · (2 V + 2 D) · G = H · V. `offsets_B1` is
[B + 1], int64: sequence b is offsets[b]:offsets[b + 1].
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu

from kernels.attention_mask import Mask
from kernels.attention_plan import AttentionPlan
from kernels.dropout import Dropout
from kernels.hstu_attention import RelativeBias, attention_backward, attention_forward
from kernels.hstu_block_reference import BlockShape, BlockWeights, reference_block
from kernels.implementations import is_triton
from kernels.norm_linear import linear_backward, projected, projected_backward

__all__ = ["BlockWeights", "RelativeBias", "hstu_block"]


def hstu_block(
    x_TM: Tensor,
    weights: BlockWeights,
    offsets_B1: Tensor,
    *,
    longest: int,
    heads: int,
    query_width: int,
    value_width: int,
    bias: RelativeBias | None,
    targets_B: Tensor | None = None,
    window: int | None = None,
    divisor: float | None,
    eps: float,
    dropout: float = 0.0,
    seed: int = 0,
    dropout_keys_T: Tensor | None = None,
    pointwise: bool = True,
    plan: AttentionPlan | None = None,
    implementation: str | None = None,
) -> Tensor:
    """X + Linear(dropout(LayerNorm(attention(Q, K, V)) ⊙ U)), [T, M], of the type of x; where
    U, V, Q, K = SiLU(Linear(LayerNorm(X))), and attention has alpha = 1 / √D.

    The norm after attention takes a divisor of its sums out again, all but eps, which is
    therefore divided by the divisor's square. So the divisor is for the range of the numbers alone,
    and None, a sequence's own length in the paper, divides by nothing. Of what is before it, a
    position sees the last `window` positions, or all.

    Weights may be of a wider type than x: they are rounded to that of x for the products, and their
    gradients are of their own. Dropout is drawn by hash from `seed` and a token's key in
    `dropout_keys_T` (int64), or else its number in the batch. Not `pointwise` is attention by
    softmax, the paper's ablation, for which there is no Triton. A `plan`, made once of the batch,
    spares what other blocks have worked out of it.

    `implementation` is "triton" (the default on a GPU for float32 and bfloat16) or "reference",
    which is plain autograd and keeps scores of T · H · longest too. Raises ValueError for what does
    not go together.
    """
    shape = BlockShape(longest, heads, query_width, value_width, divisor, eps, window)
    _check(x_TM, weights, shape)
    drop = Dropout(dropout, seed, dropout_keys_T)
    if implementation == "triton" and not pointwise:
        raise ValueError("attention by softmax has no Triton: leave the implementation out")
    if is_triton(x_TM, implementation) and pointwise:
        plan = plan or AttentionPlan.of(offsets_B1, longest, Mask(targets_B, window), bias)
        tables = (None,) * 4 if bias is None else tuple(vars(bias).values())
        given = (*weights, *tables, offsets_B1, targets_B, shape, drop, plan)
        y_TM: Tensor = _Block.apply(x_TM, *given)
        return y_TM
    return reference_block(
        x_TM,
        weights,
        offsets_B1,
        shape,
        bias=bias,
        targets_B=targets_B,
        dropout=drop,
        pointwise=pointwise,
    )


def _check(x_TM: Tensor, weights: BlockWeights, shape: BlockShape) -> None:
    width, gated = x_TM.shape[1], shape.gated
    projected_width = 2 * gated + 2 * shape.heads * shape.query_width
    right = [(width,), (width,), (width, projected_width), (projected_width,)]
    right += [(gated,), (gated,), (gated, width), (width,)]
    for name, weight, size in zip(weights._fields, weights, right, strict=True):
        if weight.shape != size:
            raise ValueError(f"{name} is {tuple(weight.shape)}, not {size}")


class _Given(NamedTuple):
    """What a block is given, as autograd wants it: one after the other."""

    x_TM: Tensor
    weights: BlockWeights
    bias: RelativeBias | None
    offsets_B1: Tensor
    targets_B: Tensor | None
    shape: BlockShape
    dropout: Dropout
    plan: AttentionPlan

    @classmethod
    def of(cls, x_TM: Tensor, *rest: Any) -> "_Given":
        """From x, the eight weights, the four fields of the bias or None, and the others."""
        weights, tables, others = rest[:8], rest[8:12], rest[12:]
        bias = None if tables[0] is None else RelativeBias(*tables)
        return cls(x_TM, BlockWeights(*weights), bias, *others)

    def attention(self) -> dict[str, Any]:
        """The options of attention."""
        return {
            "longest": self.shape.longest,
            "bias": self.bias,
            "targets_B": self.targets_B,
            "window": self.shape.window,
            "alpha": self.shape.alpha,
            "divisor": self.shape.sum_divisor,
            "plan": self.plan,
            "implementation": "triton",
        }

    def gate(self, sums_THV: Tensor, u_TG: Tensor) -> tuple[Any, ...]:
        """The arguments of the gated norm."""
        norm = (self.weights.gate_norm_weight_G, self.weights.gate_norm_bias_G)
        return sums_THV.flatten(1), *norm, u_TG, self.dropout, self.shape.gate_eps


class _Block(torch.autograd.Function):
    """Keeps x, what SiLU is given, and what attention gave; reckons the rest again."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        """`arguments` are those of `_Given.of`."""
        from kernels.gated_norm_triton import forward as gated_norm

        given = _Given.of(*arguments)
        before_TF = projected(given.x_TM, *given.weights[:4], eps=given.shape.eps)
        u_TG, v_THV, q_THD, k_THD = given.shape.parts(silu(before_TF))
        sums_THV = attention_forward(q_THD, k_THD, v_THV, given.offsets_B1, **given.attention())
        gated_TG = gated_norm(*given.gate(sums_THV, u_TG))
        ctx.save_for_backward(*arguments[:-3], before_TF, sums_THV)
        ctx.options = arguments[-3:]
        kind = given.x_TM.dtype
        residual_TM = given.x_TM + given.weights.output_bias_M.to(kind)
        return torch.addmm(residual_TM, gated_TG, given.weights.output_weight_GM.to(kind))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_TM: Tensor) -> tuple[Tensor | None, ...]:
        """A gradient an argument, None for those that have none."""
        *saved, before_TF, sums_THV = ctx.saved_tensors
        given = _Given.of(*saved, *ctx.options)
        parts = given.shape.parts(silu(before_TF))
        dsums_THV, du_TG, doutput = _gate_backward(dy_TM, given, sums_THV, parts[0])
        dv_THV, dq_THD, dk_THD, dtables = _attention_backward(dsums_THV, given, parts)
        duvqk_TF = torch.cat([du_TG, *(d.flatten(1) for d in (dv_THV, dq_THD, dk_THD))], 1)
        dbefore_TF = torch.ops.aten.silu_backward(duvqk_TF, before_TF)
        dx_TM, *dinput = projected_backward(
            dbefore_TF, given.x_TM, *given.weights[:3], eps=given.shape.eps
        )
        return dx_TM + dy_TM, *dinput, *doutput, *dtables, *(None,) * 7


def _gate_backward(
    dy_TM: Tensor, given: _Given, sums_THV: Tensor, u_TG: Tensor
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """The gradients of what attention gave, of U, and of the weights after attention."""
    from kernels.gated_norm_triton import backward, forward

    arguments = given.gate(sums_THV, u_TG)
    dgated_TG, *doutput = linear_backward(
        dy_TM, forward(*arguments), given.weights.output_weight_GM
    )
    dsums_TG, dweight_G, dbias_G, du_TG = backward(dgated_TG, *arguments)
    return dsums_TG.view_as(sums_THV), du_TG, (dweight_G, dbias_G, *doutput)


def _attention_backward(
    dsums_THV: Tensor, given: _Given, parts: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor | None, Tensor | None]]:
    """The gradients of V, Q and K, and of the tables of the bias."""
    _, v_THV, q_THD, k_THD = parts
    dq, dk, dv, *dtables = attention_backward(
        dsums_THV, q_THD, k_THD, v_THV, given.offsets_B1, **given.attention()
    )
    return dv, dq, dk, (dtables[0], dtables[1])
