"""Candidates scored together with their whole history, of which nothing is kept.

What cached scoring is held against; and for softmax attention, whose sums can't be taken apart, the
way to score.

Legend: B requests, F positions, Q candidates, M width, A actions.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from model.batch import SequenceBatch
from model.hstu import layout_of
from model.recommender import Recommender
from model.scoring.history import Request, contents_of, joined, without_features
from model.tables import Tables
from model.views import ranking_view, sequence_of


@torch.no_grad()
def whole_logits(
    model: Recommender, tables: Tables, requests: Sequence[Request], kind: torch.dtype
) -> list[Tensor]:
    """The logits of each request's candidates, [Q, A], all in one pass of a model that
    has a ranking task. The candidates of a request do not see each other."""
    ranking = model.ranking
    if ranking is None:
        raise ValueError("the model has no ranking task")
    names = tuple(requests[0].history.categories)
    counts = [len(request) for request in requests]
    batch = SequenceBatch.joined(
        [joined(each.history, contents_of(each, 0, len(each), names)) for each in requests]
    )
    device = next(model.parameters()).device
    batch = (batch if ranking.features else without_features(batch)).to(device)
    view = ranking_view(batch)
    targets_B = torch.tensor(counts, device=device)
    layout = replace(layout_of(batch, view, dropout=0.0), targets_B=targets_B)
    token_TM = model.embedding.tokens(batch, tables.read(batch))
    x_FM = model.embedding(batch, token_TM, view).to(kind)
    plan = layout.plan(ranking.stack.shape.window)
    for block in ranking.stack.blocks:
        x_FM, _ = block(x_FM, layout, plan)
    at_Q = _last(layout.offsets_B1, counts)
    norm = ranking.stack.norm
    logits_QA: Tensor = ranking.head(norm(x_FM[at_Q].to(norm.weight.dtype)))
    return list(logits_QA.split(counts))


def _last(offsets_B1: Tensor, counts: list[int]) -> Tensor:
    """The last so many positions of each sequence, one after the other: int64 [Q]."""
    count_B = torch.tensor(counts, device=offsets_B1.device)
    ends_B1 = torch.cat([count_B.new_zeros(1), count_B.cumsum(0)])
    queries = sum(counts)
    shift_B = offsets_B1[1:] - ends_B1[1:]
    place_Q = torch.arange(queries, device=offsets_B1.device)
    return place_Q + shift_B[sequence_of(ends_B1, queries)]
