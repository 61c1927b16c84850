"""Layers to compare: a block of HSTU in three ways, and a Transformer's.

T tokens of all sequences, end to end · M width of the model, d · B sequences.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention, silu

from kernels.attention_mask import ALL_BEFORE
from kernels.attention_plan import AttentionPlan
from kernels.hstu_attention import hstu_attention
from kernels.hstu_block import BlockWeights, RelativeBias, hstu_block

EPS = 1e-5

Layer = Callable[[Tensor, AttentionPlan], Tensor]
"""Given, beside its input, what all layers share of a batch."""


@dataclass(frozen=True)
class Size:
    """Sequences of these lengths; the width d, of the model, of all value heads and of all query
    heads together; entries of the tables of biases; and the type of the weights.
    """

    lengths: tuple[int, ...]
    times_T: Tensor
    width: int
    heads: int
    positions: int
    buckets: int
    dropout: float
    weights: torch.dtype

    @property
    def tokens(self) -> int:
        """Of all sequences."""
        return sum(self.lengths)

    @cached_property
    def offsets_B1(self) -> Tensor:
        """Where sequences begin; one tensor for all layers, as are the times."""
        return torch.tensor([0, *self.lengths]).cumsum(0).to(self.times_T.device)

    def plan(self) -> AttentionPlan:
        """A new one, as each batch has its own."""
        return AttentionPlan(
            self.offsets_B1, max(self.lengths), ALL_BEFORE, self.times_T, self.times_T
        )

    def drawn(self, *shapes: tuple[int, ...]) -> list[Tensor]:
        """Weights that keep the size of what they are multiplied with, and learn."""
        device = self.times_T.device
        drawn = [torch.randn(shape, device=device) * shape[-1] ** -0.5 for shape in shapes]
        return [weight.to(self.weights).requires_grad_() for weight in drawn]


def hstu(size: Size, call: str, *, biased: bool = True) -> tuple[Layer, list[Tensor]]:
    """A block of HSTU: `fast`, `plain` with the attention kernel, or `reference` with no kernel."""
    d = size.width
    shapes: list[tuple[int, ...]] = [(d,), (d,), (d, 4 * d), (4 * d,), (d,), (d,), (d, d), (d,)]
    tables = [(size.heads, size.positions), (size.heads, size.buckets)] if biased else []
    weights = size.drawn(*shapes, *tables)
    bias = RelativeBias(weights[8], weights[9], size.times_T, size.times_T) if biased else None
    if call == "plain":
        return partial(_plain_block, weights, bias, size), weights
    block = partial(
        hstu_block,
        weights=BlockWeights(*weights[:8]),
        offsets_B1=size.offsets_B1,
        longest=max(size.lengths),
        heads=size.heads,
        query_width=d // size.heads,
        value_width=d // size.heads,
        bias=bias,
        divisor=float(max(size.lengths)),
        eps=EPS,
        dropout=size.dropout,
        implementation="triton" if call == "fast" else "reference",
    )
    return lambda x_TM, plan: block(x_TM, plan=plan), weights


def _plain_block(
    weights: list[Tensor],
    bias: RelativeBias | None,
    size: Size,
    x_TM: Tensor,
    plan: AttentionPlan,
) -> Tensor:
    """The block as one would write it at first: PyTorch's operators, and one for attention."""
    norm, norm_bias, uvqk, uvqk_bias, gate, gate_bias, output, output_bias = (
        weight.to(x_TM.dtype) for weight in weights[:8]
    )
    norm_TM = layer_norm(x_TM, x_TM.shape[1:], norm, norm_bias, EPS)
    parts = silu(linear(norm_TM, uvqk.T, uvqk_bias)).chunk(4, 1)
    u_TM, v, q, k = parts[0], *(part.view(size.tokens, size.heads, -1) for part in parts[1:])
    sums_THV = hstu_attention(
        *(q, k, v, size.offsets_B1),
        longest=max(size.lengths),
        bias=bias,
        plan=plan,
        implementation="triton",
    )
    gated_TM = layer_norm(sums_THV.flatten(1), x_TM.shape[1:], gate, gate_bias, EPS) * u_TM
    return x_TM + linear(_dropped(gated_TM, size.dropout), output.T, output_bias)


def transformer(size: Size) -> tuple[Layer, list[Tensor]]:
    """A pre-norm Transformer's layer, its feed-forward four times as wide; all of one length."""
    d = size.width
    norms: list[tuple[int, ...]] = [(d,)] * 4
    weights = size.drawn(*norms, (3 * d, d), (d, d), (4 * d, d), (d, 4 * d))

    def layer(x_TM: Tensor, _: AttentionPlan) -> Tensor:
        norm, norm_bias, late, late_bias, qkv, output, up, down = (
            w.to(x_TM.dtype) for w in weights
        )
        norm_TM = layer_norm(x_TM, (d,), norm, norm_bias)
        heads = linear(norm_TM, qkv).view(len(size.lengths), size.lengths[0], 3, size.heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        said_TM = linear(attended.reshape(size.tokens, d), output)
        x_TM = x_TM + _dropped(said_TM, size.dropout)
        norm_TM = layer_norm(x_TM, (d,), late, late_bias)
        return x_TM + _dropped(linear(gelu(linear(norm_TM, up)), down), size.dropout)

    return layer, weights


def _dropped(x_TM: Tensor, dropout: float) -> Tensor:
    """With a mask of one byte an element on every device."""
    return torch.native_dropout(x_TM, dropout, True)[0] if dropout else x_TM
