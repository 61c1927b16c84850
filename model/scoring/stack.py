"""The blocks of the ranking task with keys and values from a cache, and its head.

Weights are taken as they are when this is made, in the type that is asked for.

Legend: T new tokens, Q candidates, B histories, M width, A actions, S blocks, R rows of the cache.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.cached_attention import cached_attention
from kernels.cached_keys import CachedKeys, Queries, Tables
from kernels.hstu_attention import RelativeBias, attention_forward
from kernels.hstu_block_parts import after_attention, before_attention
from kernels.hstu_block_reference import BlockShape, BlockWeights
from model.experts import Experts
from model.hstu import EPS, Block
from model.ranking import Ranking
from model.scoring.cache import PAGE, KeyCache


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

    def after(self, x_TM: Tensor, sums_THV: Tensor, u_TG: Tensor) -> Tensor:
        """The block's result, that of its experts included."""
        y_TM = after_attention(x_TM, sums_THV, u_TG, self.weights, self.shape)
        if self.experts is None:
            return y_TM
        more_TM: Tensor = self.experts(y_TM)[0]
        return y_TM + more_TM


@dataclass(frozen=True)
class NewTokens:
    """Where the new tokens of each history begin, how many one has at most, and their times, ms."""

    offsets_B1: Tensor
    longest: int
    time_T: Tensor


class CachedStack:
    """Runs new tokens of histories, and candidates after them."""

    def __init__(self, ranking: Ranking, kind: torch.dtype) -> None:
        self._kind, self._norm, self._head = kind, ranking.stack.norm, ranking.head
        self._blocks = [_Fixed.of(block, kind) for block in ranking.stack.blocks]  # type: ignore[arg-type]
        self.has_experts = any(block.experts is not None for block in self._blocks)

    @torch.no_grad()
    def extend(
        self,
        x_TM: Tensor,
        new: NewTokens,
        queries: Queries,
        row_T: Tensor,
        cache: KeyCache,
        cached: CachedKeys | None,
    ) -> None:
        """Writes keys and values of new tokens to rows of a cache. `cached` is what is there before
        them, of the first block; `queries` are they themselves."""
        cache.time_R[row_T] = new.time_T
        x_TM = x_TM.to(self._kind)
        for number, block in enumerate(self._blocks):
            u_TG, v_THV, q_THD, k_THD = before_attention(x_TM, block.weights, block.shape)
            if number + 1 < len(self._blocks):  # nobody asks what the last block makes of them
                sums_THV = _among_themselves(q_THD, k_THD, v_THV, block, new)
                if cached is not None:
                    sums_THV = sums_THV + _attend(q_THD, queries, _of(cached, cache, number), block)
                x_TM = block.after(x_TM, sums_THV, u_TG)
            cache.k_SRHD[number, row_T] = k_THD
            cache.v_SRHV[number, row_T] = v_THV

    @torch.no_grad()
    def ask(self, x_QM: Tensor, queries: Queries, cached: CachedKeys, cache: KeyCache) -> Tensor:
        """Logits of candidates, in the type of the head: [Q, A]."""
        x_QM = x_QM.to(self._kind)
        for number, block in enumerate(self._blocks):
            u_QG, v_QHV, q_QHD, k_QHD = before_attention(x_QM, block.weights, block.shape)
            there = _of(cached, cache, number)
            sums_QHV = _attend(q_QHD, queries, there, block, own=(k_QHD, v_QHV))
            x_QM = block.after(x_QM, sums_QHV, u_QG)
        logits_QA: Tensor = self._head(self._norm(x_QM.to(self._norm.weight.dtype)))
        return logits_QA


def cached_keys(cache: KeyCache, page_BX: Tensor, length_B: Tensor) -> CachedKeys:
    """What is in a cache of histories, of the first block."""
    return CachedKeys(cache.k_SRHD[0], cache.v_SRHV[0], cache.time_R, page_BX, length_B, PAGE)


def _of(cached: CachedKeys, cache: KeyCache, block: int) -> CachedKeys:
    """The same of another block."""
    places = (cached.time_R, cached.page_BX, cached.length_B, cached.page)
    return CachedKeys(cache.k_SRHD[block], cache.v_SRHV[block], *places)


def _among_themselves(
    q_THD: Tensor, k_THD: Tensor, v_THV: Tensor, block: _Fixed, new: NewTokens
) -> Tensor:
    """What new tokens see of one another."""
    tables = block.tables
    return attention_forward(
        *(q_THD, k_THD, v_THV, new.offsets_B1),
        longest=new.longest,
        bias=RelativeBias(tables.position_HP, tables.time_HC, new.time_T, new.time_T),
        window=block.shape.window,
        alpha=block.shape.alpha,
        divisor=block.shape.sum_divisor,
    )


def _attend(
    q_QHD: Tensor,
    queries: Queries,
    cached: CachedKeys,
    block: _Fixed,
    own: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """What queries see in the cache, and in themselves."""
    return cached_attention(
        *(q_QHD, queries, cached, block.tables),
        own=own,
        window=block.shape.window,
        alpha=block.shape.alpha,
        divisor=block.shape.sum_divisor,
    )
