"""Tokens to vectors: contents with their categories, action sets, feature entries.

Legend: T tokens, E contents, F positions of a view, M width, A actions, U unique ids.
"""

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as fn
from torch import Tensor, nn

from model.batch import Category, SequenceBatch
from model.config import Inputs
from model.tables import Lookup, Tables, Vectors
from model.views import View
from schemas.sequences import ACTION, CONTENT, FIRST_FEATURE
from schemas.spec import Spec

HOUR_MS = 3_600_000
HOURS_OF_WEEK = 168
THURSDAY = 72
"""Hours from Monday to the day on which the count of time begins."""

SPREAD = 0.02
"""Standard deviation of what is learned, at its beginning."""


class Embedding(nn.Module):
    """Vectors of tokens. What is large is in tables; here is what is dense: actions and types."""

    def __init__(self, spec: Spec, inputs: Inputs, width: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.features = tuple(spec.features)
        self.type_M = _learned(FIRST_FEATURE + len(spec.features), width)
        self.action_AM = _learned(len(spec.actions), width)
        self.removal_M = _learned(len(spec.features), width)
        self.hour_M = _learned(HOURS_OF_WEEK, width) if inputs.hour_of_week else None

    def tokens(self, batch: SequenceBatch, lookup: Lookup | Vectors) -> Tensor:
        """What each token is, by itself: [T, M]; the same for all views."""
        x_TM = fn.embedding(batch.type_T, self.type_M)
        x_TM = x_TM.index_add(0, batch.tokens_of(CONTENT), self._contents(batch.categories, lookup))
        x_TM = x_TM.index_add(0, batch.tokens_of(ACTION), self._actions(batch))
        if self.inputs.features:
            for number, name in enumerate(self.features):
                x_TM = self._with_feature(x_TM, batch, lookup, number, name)
        return x_TM

    def forward(self, batch: SequenceBatch, x_TM: Tensor, view: View) -> Tensor:
        """Vectors of a view's positions, of those of the tokens: [F, M]. Where actions are fused
        into a position, both tokens' vectors are added."""
        is_fused_F = (view.action_F >= 0).unsqueeze(1)
        following_F = (view.token_F + 1).clamp(max=max(batch.tokens - 1, 0))
        fused_FM = x_TM.index_select(0, following_F)
        x_FM = x_TM.index_select(0, view.token_F) + torch.where(is_fused_F, fused_FM, 0.0)
        if self.hour_M is not None:
            x_FM = x_FM + fn.embedding(hour_of_week(view.query_time_F), self.hour_M)
        return x_FM

    def of_tokens(
        self,
        type_T: Tensor,
        id_T: Tensor,
        time_T: Tensor,
        tables: Tables,
        categories: Mapping[str, Category],
    ) -> Tensor:
        """Vectors of tokens at their own times, none fused into another, to ask with and not to
        learn from: [T, M]. As of a view, but the sizes of all tensors follow from the arguments'
        alone, so that this can be a CUDA graph; categories are as in `Tables.read_tokens`."""
        x_TM = self.type_M[type_T] + tables.read_tokens(type_T, id_T, categories)
        if self.inputs.actions:
            bits_TA = action_bits(id_T, len(self.action_AM)) & (type_T == ACTION).unsqueeze(1)
            x_TM = x_TM + bits_TA.to(x_TM.dtype) @ self.action_AM
        if self.inputs.features and self.features:
            is_removal_T = (type_T >= FIRST_FEATURE) & (id_T < 0)
            removal_TM = self.removal_M[(type_T - FIRST_FEATURE).clamp(min=0)]
            x_TM = x_TM + torch.where(is_removal_T.unsqueeze(1), removal_TM, 0.0)
        return x_TM if self.hour_M is None else x_TM + self.hour_M[hour_of_week(time_T)]

    def _contents(self, names: Iterable[str], lookup: Lookup | Vectors) -> Tensor:
        """[E, M]: of each content its own vector, and the mean of each of its categories."""
        vectors_EM = lookup.own_EM
        if self.inputs.categories:
            for name in names:
                vectors_EM = vectors_EM + lookup.category_EM(name)
        return vectors_EM

    def _actions(self, batch: SequenceBatch) -> Tensor:
        """[E, M]: the sum of the vectors of the actions of each a token."""
        bits_E = batch.id_T[batch.tokens_of(ACTION)]
        if not self.inputs.actions:
            return self.action_AM.new_zeros(len(bits_E), self.action_AM.shape[1])
        return action_bits(bits_E, len(self.action_AM)).to(self.action_AM.dtype) @ self.action_AM

    def _with_feature(
        self,
        x_TM: Tensor,
        batch: SequenceBatch,
        lookup: Lookup | Vectors,
        number: int,
        name: str,
    ) -> Tensor:
        """With the vectors of one feature's entries; a member that leaves a set has a mark."""
        token_N = batch.tokens_of(FIRST_FEATURE + number)
        vectors_NM = lookup.feature_NM(name)
        is_removal_N = (batch.id_T[token_N] < 0).unsqueeze(1)
        marked_NM = vectors_NM + torch.where(is_removal_N, self.removal_M[number], 0.0)
        return x_TM.index_add(0, token_N, marked_NM)


def action_bits(id_N: Tensor, actions: int) -> Tensor:
    """The actions of each a token as bool [N, A], in the spec's order."""
    places_A = torch.arange(actions, device=id_N.device)
    return (id_N.unsqueeze(1) >> places_A) & 1 == 1


def hour_of_week(time_N: Tensor) -> Tensor:
    """0 to 167, from Monday's midnight in UTC, of times in ms."""
    return (time_N.div(HOUR_MS, rounding_mode="floor") + THURSDAY) % HOURS_OF_WEEK


def _learned(rows: int, width: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(rows, width).normal_(0, SPREAD))
