"""Ranking and retrieval: two views of the same sequences (docs/semantics.md, Views).

Legend: B sequences, T tokens of all of them, F positions of a view, B1 = B + 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.batch import SequenceBatch
from schemas.sequences import ACTION, CONTENT

NO_TARGET = 0
"""Content ids begin at 1."""


@dataclass(frozen=True)
class View:
    """What a task reads and learns of a batch.

    `token_F` is the token that stands at each position, `action_F` the actions fused into it (-1:
    none are), `query_time_F` the time for which it is asked. `target_F` is what is to be said
    there: for ranking the bits of the actions, for retrieval the next content. It is there where
    `has_target_F`; where `is_new_F` it belongs to the session just completed, and no earlier
    sequence of the user has shown it.
    """

    offsets_B1: Tensor
    token_F: Tensor
    action_F: Tensor
    query_time_F: Tensor
    target_F: Tensor
    has_target_F: Tensor
    is_new_F: Tensor


def ranking_view(batch: SequenceBatch, features: bool = True) -> View:
    """The tokens as they are. At each Φ the target is its a, which is the next token.

    Without `features` their entries are left out.
    """
    kept_T = torch.ones_like(batch.type_T, dtype=torch.bool) if features else _engaged(batch)
    token_F = kept_T.nonzero().squeeze(1)
    is_content_F = batch.type_T[token_F] == CONTENT
    return View(
        _offsets(batch, kept_T),
        token_F,
        torch.full_like(token_F, -1),
        batch.time_T[token_F],
        torch.where(is_content_F, _action_of(batch, token_F), 0),
        is_content_F,
        is_content_F & of_session(batch)[token_F],
    )


def retrieval_view(batch: SequenceBatch, positive: int, features: bool = True) -> View:
    """Φ and a fused, feature entries between. At a fused position the target is the next content,
    if any of its actions is among the bits of `positive`.

    Without `features` their entries are left out.
    """
    kept_T = batch.type_T == CONTENT if not features else batch.type_T != ACTION
    token_F = kept_T.nonzero().squeeze(1)
    is_content_F = batch.type_T[token_F] == CONTENT
    following_F = _following(batch, token_F, is_content_F)
    there_F = following_F >= 0
    next_F = following_F.clamp(min=0)
    has_target_F = there_F & ((_action_of(batch, next_F) & positive) != 0)
    return View(
        _offsets(batch, kept_T),
        token_F,
        torch.where(is_content_F, _action_of(batch, token_F), -1),
        torch.where(there_F, batch.time_T[next_F], batch.time_T[token_F]),
        torch.where(has_target_F, batch.id_T[next_F], NO_TARGET),
        has_target_F,
        has_target_F & of_session(batch)[next_F],
    )


def _engaged(batch: SequenceBatch) -> Tensor:
    return batch.type_T <= ACTION


def _offsets(batch: SequenceBatch, kept_T: Tensor) -> Tensor:
    """Where sequences begin among the tokens kept: int64 [B1]."""
    counted_T = torch.cumsum(kept_T, 0)
    return torch.cat([counted_T.new_zeros(1), counted_T])[batch.offsets_B1]


def sequence_of(offsets_B1: Tensor, positions: int) -> Tensor:
    """The sequence of each position: int64 [positions]."""
    numbers_B = torch.arange(len(offsets_B1) - 1, device=offsets_B1.device)
    return torch.repeat_interleave(numbers_B, offsets_B1.diff(), output_size=positions)


def content_of(batch: SequenceBatch, token_N: Tensor) -> Tensor:
    """The number of the content, among all of the batch, whose Φ each token is: int64 [N]."""
    return torch.cumsum(batch.type_T == CONTENT, 0)[token_N] - 1


def _action_of(batch: SequenceBatch, token_F: Tensor) -> Tensor:
    """The id of the token after each token: of a Φ, its a."""
    return batch.id_T[(token_F + 1).clamp(max=max(batch.tokens - 1, 0))]


def _following(batch: SequenceBatch, token_F: Tensor, is_content_F: Tensor) -> Tensor:
    """For each Φ the token of the next Φ of its sequence; -1 where there is none."""
    content_E = token_F[is_content_F]
    sequence_E = sequence_of(batch.offsets_B1, batch.tokens)[content_E]
    next_E = torch.roll(content_E, -1)
    is_last_E = torch.roll(sequence_E, -1) != sequence_E
    is_last_E[-1:] = True
    following_F = torch.full_like(token_F, -1)
    following_F[is_content_F] = torch.where(is_last_E, -1, next_E)
    return following_F


def of_session(batch: SequenceBatch) -> Tensor:
    """Whether each token belongs to a content of the session just completed: bool [T]."""
    is_content_T = batch.type_T == CONTENT
    counted_T = torch.cumsum(is_content_T, 0)
    sequence_T = sequence_of(batch.offsets_B1, batch.tokens)
    last_B = torch.cat([counted_T.new_zeros(1), counted_T])[batch.offsets_B1[1:]]
    from_end_T = last_B[sequence_T] - counted_T
    return _engaged(batch) & (from_end_T < batch.new_contents_B[sequence_T])
