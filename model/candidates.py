"""Ranks of targets among a catalogue, for the figures of retrieval.

Each process scores the candidates that its tables own, for the queries of all processes; counts and
sums of exponentials add up. No process holds all scores of a catalogue.

Legend: N queries of this process, Q of all, M width, R candidates of this process, n of a piece.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.freshness_bias import Freshness
from model.evaluation.retrieval import candidates_ahead
from model.exchange import Exchange
from model.freshness import FreshnessBias
from model.heads import directions

PIECE = 8_192


@dataclass(frozen=True)
class Candidates:
    """The part of the catalogue that this process scores: ids, ascending, their vectors, and how
    fresh they are."""

    id_R: Tensor
    vector_RM: Tensor
    freshness: Freshness


@dataclass(frozen=True)
class Standing:
    """Of each target: its rank, from 1, and the log of its probability among all candidates.
    Rank 0: it is not among them. `candidates`: how many there are."""

    rank_N: Tensor
    log_probability_N: Tensor
    candidates: int


@dataclass(frozen=True)
class Asking:
    """Queries, the times at which they are asked, ms, and the bias of contents, if any."""

    query_QM: Tensor
    now_Q: Tensor
    bias: FreshnessBias | None

    def scores(self, candidates: Candidates, start: int, stop: int) -> Tensor:
        """Scores of some of the candidates, by number: float64 [Q, n]."""
        direction_nM = directions(candidates.vector_RM[start:stop])
        score_Qn = self.query_QM.double() @ direction_nM.double().T
        if self.bias is not None:
            score_Qn = score_Qn + self.bias(self.now_Q, candidates.freshness.part(start, stop))
        return _tied(score_Qn)

    def own(self, candidates: Candidates, column_Q: Tensor) -> Tensor:
        """The score of the candidate that each query has its number of: float64 [Q]."""
        direction_QM = directions(candidates.vector_RM[column_Q])
        score_Q = (self.query_QM.double() * direction_QM.double()).sum(1)
        if self.bias is not None:
            score_Q = score_Q + self.bias(self.now_Q, candidates.freshness.at(column_Q), each=True)
        return _tied(score_Q)


def _tied(score: Tensor) -> Tensor:
    """Scores that differ in the last bits alone, as sums in another order do, made equal."""
    return score.float().double()


@torch.no_grad()
def standing(
    asking: Asking, target_id_N: Tensor, candidates: Candidates, exchange: Exchange
) -> Standing:
    """Ranks each target by its score for its query; all processes call this together."""
    lengths = [len(each) for each in exchange.gather(target_id_N)]
    query_QM = torch.cat(exchange.gather(asking.query_QM.detach()))
    asking = Asking(query_QM, torch.cat(exchange.gather(asking.now_Q)), asking.bias)
    target_Q = torch.cat(exchange.gather(target_id_N))
    column_Q = _columns(candidates.id_R, target_Q)
    own_Q = _own_scores(asking, candidates, column_Q)
    there_Q = (column_Q >= 0).to(own_Q.dtype)
    both_2Q = exchange.sum_(torch.stack([own_Q, there_Q]))
    ahead_Q, mass_Q = _against(asking, candidates, column_Q, both_2Q[0])
    sums_2Q = exchange.sum_(torch.stack([ahead_Q.double(), mass_Q]))
    number = exchange.sum_(torch.tensor([len(candidates.id_R)]))
    rank_Q = torch.where(both_2Q[1] > 0, 1 + sums_2Q[0].long(), 0)
    before = sum(lengths[: exchange.rank])
    mine = slice(before, before + lengths[exchange.rank])
    return Standing(rank_Q[mine], -torch.log(sums_2Q[1])[mine], int(number))


def _columns(id_R: Tensor, target_Q: Tensor) -> Tensor:
    """Where each target stands among ascending ids; -1 where it does not."""
    if not len(id_R):
        return torch.full_like(target_Q, -1)
    place_Q = torch.searchsorted(id_R, target_Q).clamp(max=len(id_R) - 1)
    return torch.where(id_R[place_Q] == target_Q, place_Q, -1)


def _own_scores(asking: Asking, candidates: Candidates, column_Q: Tensor) -> Tensor:
    """The score of each target that is here, 0 of others: float64 [Q]."""
    if not len(candidates.id_R):
        return torch.zeros_like(column_Q, dtype=torch.float64)
    return torch.where(column_Q >= 0, asking.own(candidates, column_Q.clamp(min=0)), 0.0)


def _against(
    asking: Asking, candidates: Candidates, column_Q: Tensor, own_Q: Tensor
) -> tuple[Tensor, Tensor]:
    """How many candidates here stand before each target, and Σ exp(score - own score)."""
    ahead_Q = torch.zeros_like(column_Q)
    mass_Q = torch.zeros_like(own_Q)
    for start in range(0, len(candidates.id_R), PIECE):
        score_Qn = asking.scores(candidates, start, start + PIECE)
        here_Q = torch.where(column_Q >= start, column_Q - start, -1)
        ahead_Q += candidates_ahead(score_Qn, own_Q, here_Q)
        mass_Q += torch.exp(score_Qn - own_Q.unsqueeze(1)).sum(1)
    return ahead_Q, mass_Q
