"""HSTU attention on jagged sequences: pointwise, causal, biased by position and by time.

Zhai et al., "Actions Speak Louder than Words", ICML 2024, sections 3 and 3.4. With SiLU in place of
a softmax a score needs no other score, so a backward pass has no state of the forward to keep.

B sequences of a batch · T tokens of all sequences, end to end · H heads · D width of a query or key
head · V width of a value head · P relative positions · C time buckets. `offsets_B1` is [B + 1],
int64: sequence b is offsets[b]:offsets[b + 1].
"""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.attention_checks import check_attention
from kernels.attention_mask import Mask
from kernels.attention_plan import AttentionPlan
from kernels.hstu_attention_reference import reference_attention
from kernels.implementations import is_triton
from kernels.relative_bias import RelativeBias

__all__ = [
    "AttentionGradients",
    "AttentionPlan",
    "RelativeBias",
    "attention_backward",
    "attention_forward",
    "hstu_attention",
]


class AttentionGradients(NamedTuple):
    """Gradients of what attention was given; of the bias None where there was none."""

    dq_THD: Tensor
    dk_THD: Tensor
    dv_THV: Tensor
    dposition_HP: Tensor | None
    dtime_HC: Tensor | None


def hstu_attention(
    q_THD: Tensor,
    k_THD: Tensor,
    v_THV: Tensor,
    offsets_B1: Tensor,
    *,
    longest: int,
    bias: RelativeBias | None = None,
    targets_B: Tensor | None = None,
    window: int | None = None,
    prefix: int = 0,
    alpha: float = 1.0,
    divisor: float | None = None,
    plan: AttentionPlan | None = None,
    implementation: str | None = None,
) -> Tensor:
    """out_i = Σ SiLU(alpha · q_i·k_j + bias_ij) v_j / divisor, over the j visible to i; out_THV.

    Visible is what is not after i and within its `window`; of `targets_B` only itself; and the
    whole `prefix`: kernels/attention_mask.py has the rules. The default divisor is the most
    positions that a position of the sequence can see: its length, as the paper has it, with all
    targets counted as one, or window + prefix if that is less.

    `longest` is the longest sequence's length, or more. Tokens outside of all sequences give zero.
    A `plan`, made of the same batch, spares what other calls have worked out of it.
    `implementation` is "triton" (the default on a GPU for float32 and bfloat16; sums are float32)
    or "reference". Raises ValueError for shapes and types that do not go together.
    """
    mask = Mask(targets_B, window, prefix)
    plan = plan or AttentionPlan.of(offsets_B1, longest, mask, bias)
    if is_triton(q_THD, implementation):
        settings = {"longest": longest, "alpha": alpha, "divisor": divisor, "plan": plan}
        seen = {"targets_B": targets_B, "window": window, "prefix": prefix}
        options = {"bias": bias, "implementation": "triton", **seen, **settings}
        tables = (None, None) if bias is None else (bias.position_HP, bias.time_HC)
        out_THV: Tensor = _Attention.apply(q_THD, k_THD, v_THV, *tables, offsets_B1, options)
        return out_THV
    check_attention(q_THD, k_THD, v_THV, offsets_B1, longest, bias, mask)
    plan.check(offsets_B1, longest, mask, bias)
    inputs = (q_THD, k_THD, v_THV, offsets_B1)
    return reference_attention(*inputs, bias=bias, mask=mask, alpha=alpha, divisor=divisor)


def attention_forward(
    q_THD: Tensor,
    k_THD: Tensor,
    v_THV: Tensor,
    offsets_B1: Tensor,
    *,
    longest: int,
    bias: RelativeBias | None = None,
    targets_B: Tensor | None = None,
    window: int | None = None,
    prefix: int = 0,
    alpha: float = 1.0,
    divisor: float | None = None,
    plan: AttentionPlan | None = None,
    implementation: str | None = None,
) -> Tensor:
    """out_THV of `hstu_attention` without autograd, for an operator that has its own."""
    mask = Mask(targets_B, window, prefix)
    check_attention(q_THD, k_THD, v_THV, offsets_B1, longest, bias, mask)
    plan = plan or AttentionPlan.of(offsets_B1, longest, mask, bias)
    plan.check(offsets_B1, longest, mask, bias)
    if is_triton(q_THD, implementation):
        from kernels.hstu_attention_forward import forward

        return forward(q_THD, k_THD, v_THV, plan, bias, alpha, divisor)
    with torch.no_grad():
        inputs = (q_THD, k_THD, v_THV, offsets_B1)
        return reference_attention(*inputs, bias=bias, mask=mask, alpha=alpha, divisor=divisor)


def attention_backward(
    dout_THV: Tensor,
    q_THD: Tensor,
    k_THD: Tensor,
    v_THV: Tensor,
    offsets_B1: Tensor,
    *,
    longest: int,
    bias: RelativeBias | None = None,
    targets_B: Tensor | None = None,
    window: int | None = None,
    prefix: int = 0,
    alpha: float = 1.0,
    divisor: float | None = None,
    plan: AttentionPlan | None = None,
    implementation: str | None = None,
) -> AttentionGradients:
    """The gradients of `attention_forward`, which needs nothing but what that was given."""
    mask = Mask(targets_B, window, prefix)
    check_attention(q_THD, k_THD, v_THV, offsets_B1, longest, bias, mask)
    plan = plan or AttentionPlan.of(offsets_B1, longest, mask, bias)
    plan.check(offsets_B1, longest, mask, bias)
    if is_triton(q_THD, implementation):
        from kernels.hstu_attention_backward import backward

        inputs = (q_THD, k_THD, v_THV, plan, bias, alpha, divisor)
        return AttentionGradients(*backward(dout_THV, *inputs))
    leaves = [x.detach().requires_grad_() for x in (q_THD, k_THD, v_THV)]
    if bias is not None:
        leaves += [x.detach().requires_grad_() for x in (bias.position_HP, bias.time_HC)]
        bias = replace(bias, position_HP=leaves[3], time_HC=leaves[4])
    q, k, v, *tables = leaves
    with torch.enable_grad():
        out_THV = reference_attention(
            q, k, v, offsets_B1, bias=bias, mask=mask, alpha=alpha, divisor=divisor
        )
    gradients = torch.autograd.grad(out_THV, leaves, dout_THV, materialize_grads=True)
    return AttentionGradients(*gradients, *(() if tables else (None, None)))


class _Attention(torch.autograd.Function):
    """Triton's forward and backward; keeps its arguments for the backward, and nothing else but
    what is in the plan.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q_THD: Tensor,
        k_THD: Tensor,
        v_THV: Tensor,
        position_HP: Tensor | None,
        time_HC: Tensor | None,
        offsets_B1: Tensor,
        options: dict[str, Any],
    ) -> Tensor:
        """The tables are those of the bias in the options, where autograd sees them."""
        ctx.save_for_backward(q_THD, k_THD, v_THV, position_HP, time_HC, offsets_B1)
        ctx.options = options
        return attention_forward(q_THD, k_THD, v_THV, offsets_B1, **options)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout_THV: Tensor) -> tuple[Tensor | None, ...]:
        """A gradient an argument, None for the last two."""
        q, k, v, _, _, offsets = ctx.saved_tensors
        return *attention_backward(dout_THV, q, k, v, offsets, **ctx.options), None, None
