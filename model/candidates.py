"""Ranks of targets among a catalogue, for the figures of retrieval.

Each process scores the candidates that its tables own, for the queries of all processes; counts and
sums of exponentials add up. No process holds all scores of a catalogue.

Legend: N queries of this process, Q of all, M width, R candidates of this process, n of a piece.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.evaluation.retrieval import candidates_ahead
from model.exchange import Exchange
from model.heads import directions

PIECE = 8_192


@dataclass(frozen=True)
class Candidates:
    """The part of the catalogue that this process scores: ids, ascending, and their vectors."""

    id_R: Tensor
    vector_RM: Tensor


@dataclass(frozen=True)
class Standing:
    """Of each target: its rank, from 1, and the log of its probability among all candidates.
    Rank 0: it is not among them. `candidates`: how many there are."""

    rank_N: Tensor
    log_probability_N: Tensor
    candidates: int


def standing(
    query_NM: Tensor, target_id_N: Tensor, candidates: Candidates, exchange: Exchange
) -> Standing:
    """Ranks each target by its score for its query; all processes call this together."""
    query_QM = torch.cat(exchange.gather(query_NM.detach()))
    target_Q = torch.cat(exchange.gather(target_id_N))
    column_Q = _columns(candidates.id_R, target_Q)
    own_Q = _own_scores(query_QM, candidates, column_Q)
    there_Q = (column_Q >= 0).to(own_Q.dtype)
    both_2Q = exchange.sum_(torch.stack([own_Q, there_Q]))
    ahead_Q, mass_Q = _against(query_QM, candidates, column_Q, both_2Q[0])
    sums_2Q = exchange.sum_(torch.stack([ahead_Q.double(), mass_Q]))
    number = exchange.sum_(target_id_N.new_tensor([len(candidates.id_R)]))
    rank_Q = torch.where(both_2Q[1] > 0, 1 + sums_2Q[0].long(), 0)
    mine = _slice_of(query_NM, exchange)
    return Standing(rank_Q[mine], -torch.log(sums_2Q[1])[mine], int(number))


def _columns(id_R: Tensor, target_Q: Tensor) -> Tensor:
    """Where each target stands among ascending ids; -1 where it does not."""
    if not len(id_R):
        return torch.full_like(target_Q, -1)
    place_Q = torch.searchsorted(id_R, target_Q).clamp(max=len(id_R) - 1)
    return torch.where(id_R[place_Q] == target_Q, place_Q, -1)


def _own_scores(query_QM: Tensor, candidates: Candidates, column_Q: Tensor) -> Tensor:
    """The score of each target that is here, 0 of others: float64 [Q]."""
    if not len(candidates.id_R):
        return query_QM.new_zeros(len(query_QM), dtype=torch.float64)
    vector_QM = directions(candidates.vector_RM[column_Q.clamp(min=0)])
    score_Q = (query_QM * vector_QM).sum(1).double()
    return torch.where(column_Q >= 0, score_Q, 0.0)


def _against(
    query_QM: Tensor, candidates: Candidates, column_Q: Tensor, own_Q: Tensor
) -> tuple[Tensor, Tensor]:
    """How many candidates here stand before each target, and Σ exp(score - own score)."""
    ahead_Q = torch.zeros_like(column_Q)
    mass_Q = torch.zeros_like(own_Q)
    for start in range(0, len(candidates.id_R), PIECE):
        vector_nM = directions(candidates.vector_RM[start : start + PIECE])
        score_Qn = (query_QM @ vector_nM.T).double()
        here_Q = torch.where(column_Q >= start, column_Q - start, -1)
        ahead_Q += candidates_ahead(score_Qn, own_Q, here_Q)
        mass_Q += torch.exp(score_Qn - own_Q.unsqueeze(1)).sum(1)
    return ahead_Q, mass_Q


def _slice_of(query_NM: Tensor, exchange: Exchange) -> slice:
    """Where this process's queries stand among those of all."""
    lengths = exchange.gather(torch.tensor([len(query_NM)], device=query_NM.device))
    before = int(sum(int(length) for length in lengths[: exchange.rank]))
    return slice(before, before + len(query_NM))
