"""The blocks of the ranking task with keys and values from a cache, and its head.

Weights are taken as they are when this is made, in the type that is asked for.

Legend: T new tokens, Q candidates, R rows of both, M width, G of what is gated, H heads, D width of
a key head, V of a value head, A actions, S blocks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.attention_mask import Mask
from kernels.attention_plan import AttentionPlan
from kernels.cached_attention import cached_attention
from kernels.cached_keys import CachedKeys, Queries, Tables
from kernels.hstu_attention import RelativeBias, attention_forward
from kernels.hstu_block_parts import after_attention, before_attention
from kernels.hstu_block_reference import BlockShape, BlockWeights
from kernels.kept_rows import keep_rows
from model.experts import Experts
from model.hstu import EPS, Block
from model.ranking import Ranking
from model.scoring.cache import PAGE, KeyCache
from model.scoring.rows import Rows


@dataclass(frozen=True)
class _Fixed:
    """A block as it is just now."""

    weights: BlockWeights
    tables: Tables
    shape: BlockShape
    experts: Experts | None

    @classmethod
    def of(cls, block: Block, kind: torch.dtype) -> "_Fixed":
        """Its weights in a type; biases stay as they are."""
        given = block.shape
        return cls(
            BlockWeights(*(weight.detach().to(kind) for weight in block.weights())),
            Tables(block.position_HP.detach(), block.time_HC.detach()),
            BlockShape(
                *(0, given.heads, given.query_width, given.value_width),
                *(float(block.divisor), EPS, given.window),
            ),
            block.experts,
        )

    def after(self, x_RM: Tensor, sums_RHV: Tensor, u_RG: Tensor) -> Tensor:
        """The block's result, that of its experts included."""
        y_RM = after_attention(x_RM, sums_RHV, u_RG, self.weights, self.shape)
        if self.experts is None:
            return y_RM
        more_RM: Tensor = self.experts(y_RM)[0]
        return y_RM + more_RM

    def attend(
        self,
        q_QHD: Tensor,
        queries: Queries,
        cached: CachedKeys,
        own: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """What queries see in the cache, and in themselves."""
        return cached_attention(
            *(q_QHD, queries, cached, self.tables),
            own=own,
            window=self.shape.window,
            alpha=self.shape.alpha,
            divisor=self.shape.sum_divisor,
        )

    def among_themselves(
        self, q_THD: Tensor, k_THD: Tensor, v_THV: Tensor, plan: AttentionPlan, time_T: Tensor
    ) -> Tensor:
        """What new tokens see of one another."""
        return attention_forward(
            *(q_THD, k_THD, v_THV, plan.offsets_B1),
            longest=plan.longest,
            bias=RelativeBias(self.tables.position_HP, self.tables.time_HC, time_T, time_T),
            window=self.shape.window,
            alpha=self.shape.alpha,
            divisor=self.shape.sum_divisor,
            plan=plan,
        )


class CachedStack:
    """Runs new tokens of histories, and candidates after them."""

    def __init__(self, ranking: Ranking, kind: torch.dtype) -> None:
        self._kind, self._norm, self._head = kind, ranking.stack.norm, ranking.head
        self._window = ranking.stack.shape.window
        self._blocks = [_Fixed.of(block, kind) for block in ranking.stack.blocks]  # type: ignore[arg-type]
        self.has_experts = any(block.experts is not None for block in self._blocks)

    @torch.no_grad()
    def run(self, x_RM: Tensor, rows: Rows, cache: KeyCache) -> Tensor:
        """Writes keys and values of new tokens to the cache, and gives the logits of candidates, in
        the type of the head: [Q, A]."""
        tokens, new = rows.sizes.tokens, slice(0, rows.sizes.tokens)
        if tokens:
            cache.time_R[rows.row_T] = rows.time_R[new]
        x_RM = x_RM.to(self._kind)
        plan = self._plan(rows) if rows.sizes.many else None
        for number, block in enumerate(self._blocks):
            u_RG, v_RHV, q_RHD, k_RHD = before_attention(x_RM, block.weights, block.shape)
            if tokens:
                keep_rows(*cache.of_block(number), rows.row_T, k_RHD[new], v_RHV[new])
            parts = (q_RHD, k_RHD, v_RHV)
            sums = []
            if number + 1 == len(self._blocks):  # nobody asks what it makes of tokens
                x_RM, u_RG = x_RM[tokens:], u_RG[tokens:]
            elif tokens:
                sums.append(_of_tokens(block, parts, rows, cache, number, plan))
            if rows.sizes.candidates:
                sums.append(_of_candidates(block, parts, rows, cache, number))
            if sums:
                x_RM = block.after(x_RM, torch.cat(sums) if len(sums) > 1 else sums[0], u_RG)
        logits_QA: Tensor = self._head(self._norm(x_RM.to(self._norm.weight.dtype)))
        return logits_QA

    def _plan(self, rows: Rows) -> AttentionPlan:
        """What all blocks share of attention of new tokens among themselves."""
        time_T = rows.time_R[: rows.sizes.tokens]
        mask = Mask(window=self._window)
        return AttentionPlan(rows.offsets_B1, rows.sizes.longest, mask, time_T, time_T)


Parts = tuple[Tensor, Tensor, Tensor]
"""Q, K and V of all rows."""


def _of_tokens(
    block: _Fixed,
    parts: Parts,
    rows: Rows,
    cache: KeyCache,
    number: int,
    plan: AttentionPlan | None,
) -> Tensor:
    """What new tokens see: [T, H, V]."""
    q_THD, k_THD, v_THV = (part[: rows.sizes.tokens] for part in parts)
    queries = rows.tokens()
    if plan is None:
        return block.attend(q_THD, queries, _there(cache, number, rows, rows.length_B))
    sums_THV = block.among_themselves(q_THD, k_THD, v_THV, plan, queries.time_Q)
    if rows.sizes.grows:
        before = _there(cache, number, rows, rows.before_B)
        sums_THV = sums_THV + block.attend(q_THD, queries, before)
    return sums_THV


def _of_candidates(block: _Fixed, parts: Parts, rows: Rows, cache: KeyCache, number: int) -> Tensor:
    """What candidates see: [Q, H, V]."""
    q_QHD, k_QHD, v_QHV = (part[rows.sizes.tokens :] for part in parts)
    there = _there(cache, number, rows, rows.length_B)
    return block.attend(q_QHD, rows.candidates(), there, own=(k_QHD, v_QHV))


def _there(cache: KeyCache, number: int, rows: Rows, length_B: Tensor) -> CachedKeys:
    """What a block finds in the cache of so many tokens of each history."""
    k_RHD, v_RHV = cache.of_block(number)
    return CachedKeys(k_RHD, v_RHV, cache.time_R, rows.page_BX, length_B, PAGE)
