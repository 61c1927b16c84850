"""HSTU: blocks one after the other over the positions of a view (Zhai et al., 2024, section 2.2).

Legend: B sequences, B1 = B + 1, F positions of all of them, M width, H heads, D width of a query or
key head, V of a value head, G = H · V, P relative positions, C time buckets.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kernels.attention_mask import Mask
from kernels.attention_plan import AttentionPlan
from kernels.hashing import hashed
from kernels.hstu_block import BlockWeights, hstu_block
from kernels.relative_bias import RelativeBias
from model.batch import SequenceBatch
from model.config import Blocks
from model.experts import Experts, Summed
from model.views import View

SPREAD = 0.02
EPS = 1e-5
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
EXPERT_WIDTH = 4
"""Hidden width of an expert, in widths of the model, as in Transformers."""


@dataclass(frozen=True)
class Layout:
    """Where sequences are, how long the longest is, the times of queries and keys, ms, and what
    dropout is drawn by, which does not depend on the batch; None where there is none. And how many
    of a sequence's last positions are targets that do not see each other; None: none are."""

    offsets_B1: Tensor
    longest: int
    query_time_F: Tensor
    key_time_F: Tensor
    dropout_key_F: Tensor | None = None
    targets_B: Tensor | None = None

    def plan(self, window: int | None) -> AttentionPlan:
        """What all blocks share of attention to that many positions, or all."""
        mask = Mask(self.targets_B, window)
        times = (self.query_time_F, self.key_time_F)
        return AttentionPlan(self.offsets_B1, self.longest, mask, *times)


def layout_of(batch: SequenceBatch, view: View, dropout: float) -> Layout:
    """The layout of a view. A query asks for the view's time; a key has its token's own. Any
    dropout is drawn by a hash of the token and its time."""
    lengths_B = view.offsets_B1.diff()
    longest = int(lengths_B.max()) if len(lengths_B) else 0
    time_F, id_F = batch.time_T[view.token_F], batch.id_T[view.token_F]
    key_F = hashed(0, time_F, id_F) if dropout else None
    return Layout(view.offsets_B1, longest, view.query_time_F, time_F, key_F)


@dataclass(frozen=True)
class Positions:
    """What is asked of a view, all of it known before its blocks are: then a GPU, which is waited
    for where something is counted, has no long work yet. `at_N` are the positions with a target,
    `new_n` those of the N targets that are new."""

    view: View
    layout: Layout
    at_N: Tensor
    new_n: Tensor

    @classmethod
    def of(cls, batch: SequenceBatch, view: View, dropout: float) -> "Positions":
        """Of a view of a batch."""
        at_N = view.has_target_F.nonzero().squeeze(1)
        new_n = view.is_new_F[at_N].nonzero().squeeze(1)
        return cls(view, layout_of(batch, view, dropout), at_N, new_n)


class Hstu(nn.Module):
    """A stack of blocks, and a norm at its end.

    `divisor` divides the sums of attention: the longest sequence that there can be. Since it is a
    constant, what is computed for a token does not depend on what comes after it. `summed` adds
    up over all processes, for the experts' balance. With `precision` bfloat16 what blocks pass on
    and multiply is of that type; weights, their gradients and sums over a row stay float32.
    """

    def __init__(self, shape: Blocks, divisor: int, summed: Summed | None = None) -> None:
        super().__init__()
        self.shape, self.summed, self.precision = shape, summed, PRECISIONS[shape.precision]
        self.blocks = nn.ModuleList(Block(shape, divisor) for _ in range(shape.blocks))
        self.norm = nn.LayerNorm(shape.width, eps=EPS)

    def forward(self, x_FM: Tensor, layout: Layout, seed: int = 0) -> tuple[Tensor, Tensor]:
        """What each position knows, [F, M] in the type given, and the experts' balance loss, a
        scalar."""
        kind, balance = x_FM.dtype, x_FM.new_zeros(())
        x_FM, plan = x_FM.to(self.precision), layout.plan(self.shape.window)
        for number, block in enumerate(self.blocks):
            x_FM, more = block(x_FM, layout, plan, seed * len(self.blocks) + number, self.summed)
            balance = balance + more
        return self.norm(x_FM.to(kind)), balance


class Block(nn.Module):
    """One HSTU block; experts after it, where there are any."""

    def __init__(self, shape: Blocks, divisor: int) -> None:
        super().__init__()
        self.shape, self.divisor = shape, divisor
        gated = shape.heads * shape.value_width
        projected = 2 * gated + 2 * shape.heads * shape.query_width
        self.norm_weight_M = nn.Parameter(torch.ones(shape.width))
        self.norm_bias_M = nn.Parameter(torch.zeros(shape.width))
        self.uvqk_weight_MF = _drawn(shape.width, projected)
        self.uvqk_bias_F = nn.Parameter(torch.zeros(projected))
        self.gate_norm_weight_G = nn.Parameter(torch.ones(gated))
        self.gate_norm_bias_G = nn.Parameter(torch.zeros(gated))
        self.output_weight_GM = _drawn(gated, shape.width)
        self.output_bias_M = nn.Parameter(torch.zeros(shape.width))
        self.position_HP = _bias(shape.heads, shape.positions, shape.position_bias)
        self.time_HC = _bias(shape.heads, shape.time_buckets, shape.time_bias)
        self.experts = (
            Experts(shape.width, EXPERT_WIDTH * shape.width, shape.experts, shape.active_experts)
            if shape.experts
            else None
        )

    def forward(
        self,
        x_FM: Tensor,
        layout: Layout,
        plan: AttentionPlan,
        seed: int = 0,
        summed: Summed | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The positions after this block, [F, M], and the experts' balance loss; with what blocks
        share of a layout."""
        bias = RelativeBias(self.position_HP, self.time_HC, layout.query_time_F, layout.key_time_F)
        x_FM = hstu_block(
            x_FM,
            self.weights(),
            layout.offsets_B1,
            longest=layout.longest,
            heads=self.shape.heads,
            query_width=self.shape.query_width,
            value_width=self.shape.value_width,
            bias=bias,
            targets_B=layout.targets_B,
            window=self.shape.window,
            divisor=float(self.divisor),
            eps=EPS,
            dropout=self.shape.dropout if self.training else 0.0,
            seed=seed,
            dropout_keys_T=layout.dropout_key_F,
            pointwise=self.shape.attention == "pointwise",
            plan=plan,
        )
        if self.experts is None:
            return x_FM, x_FM.new_zeros((), dtype=self.output_bias_M.dtype)
        more_FM, balance = self.experts(x_FM, summed)
        return x_FM + more_FM, balance

    def weights(self) -> BlockWeights:
        """Those of the operator, as they are just now."""
        return BlockWeights(*(getattr(self, name) for name in BlockWeights._fields))


def _bias(heads: int, entries: int, learned: bool) -> Tensor:
    """A table of biases, zero at first; one that is not learned has one entry and stays zero."""
    if learned:
        return nn.Parameter(torch.zeros(heads, entries))
    return nn.Buffer(torch.zeros(heads, 1), persistent=False)


def _drawn(rows: int, columns: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(rows, columns)))
