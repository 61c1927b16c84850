"""Ranks among a catalogue, against a plain loop over all candidates."""

import math

import pytest
import torch
from torch import Tensor

from kernels.freshness_bias import GRAIN, HALF_LIVES, Freshness
from kernels.time_buckets import time_bucket
from model.candidates import Asking, Candidates, standing
from model.exchange import Exchange
from model.freshness import BUCKETS, FreshnessBias
from model.heads import directions

NOW = 1_000_000


def made(candidates: int, queries: int) -> tuple[Tensor, Tensor, Candidates]:
    generator = torch.Generator().manual_seed(candidates + 31 * queries)
    id_R = torch.randperm(3 * candidates + 1, generator=generator)[:candidates].sort().values
    vector_RM = torch.randn(candidates, 4, generator=generator)
    query_NM = 5 * torch.randn(queries, 4, generator=generator)
    target_N = torch.randint(0, 3 * candidates + 1, (queries,), generator=generator)
    first_R = torch.randint(-1, NOW, (candidates,), generator=generator)
    last_R = torch.randint(-1, NOW, (candidates,), generator=generator)
    heat_HR = 3 * torch.rand(2, candidates, generator=generator, dtype=torch.float64)
    return query_NM, target_N, Candidates(id_R, vector_RM, Freshness(first_R, last_R, heat_HR))


def bias_of(seed: int) -> FreshnessBias:
    bias = FreshnessBias()
    generator = torch.Generator().manual_seed(seed)
    for parameter in bias.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return bias


def score_of(query_M: Tensor, now: int, at: int, of: Candidates, bias: FreshnessBias) -> float:
    idle = int(time_bucket(now - of.freshness.last_S[at], BUCKETS))
    age = int(time_bucket(now - of.freshness.first_S[at], BUCKETS))
    angle = float(directions(of.vector_RM)[at] @ query_M)
    score = angle + float(bias.idle_C[idle]) + float(bias.age_C[age])
    for h, life in enumerate(HALF_LIVES):
        left = 2.0 ** (-max(now - int(of.freshness.last_S[at]), 0) / life)
        heat = int(float(of.freshness.heat_HS[h, at]) * left * GRAIN)
        score += float(bias.heat_HC[h, int(time_bucket(torch.tensor(heat), BUCKETS))])
    return score


@pytest.mark.parametrize(("candidates", "queries"), [(0, 3), (1, 4), (7, 0), (50, 20)])
@pytest.mark.parametrize("piece", [3, 8_192])
def test_it_is_as_in_a_loop(
    monkeypatch: pytest.MonkeyPatch, candidates: int, queries: int, piece: int
) -> None:
    monkeypatch.setattr("model.candidates.PIECE", piece)
    query_NM, target_N, catalogue = made(candidates, queries)
    bias, now_N = bias_of(5), NOW + 7_000 * torch.arange(queries)
    found = standing(Asking(query_NM, now_N, bias), target_N, catalogue, Exchange.alone())
    assert found.candidates == candidates
    ids = catalogue.id_R.tolist()
    for n, target in enumerate(target_N.tolist()):
        if target not in ids:
            assert found.rank_N[n] == 0
            continue
        now = int(now_N[n])
        scores = [score_of(query_NM[n], now, at, catalogue, bias) for at in range(candidates)]
        own = scores[ids.index(target)]
        ahead = sum(score > own - 1e-5 for score in scores) - 1
        mass = sum(math.exp(score - own) for score in scores)
        assert found.rank_N[n] == 1 + ahead
        assert math.isclose(found.log_probability_N[n], -math.log(mass), rel_tol=1e-4)


def test_equal_candidates_stand_before_the_target() -> None:
    never = torch.full((300,), -1)
    fresh = Freshness(never, never, torch.zeros(2, 300))
    catalogue = Candidates(torch.arange(300), torch.randn(7).expand(300, 7), fresh)
    asking = Asking(torch.randn(50, 7), torch.full((50,), NOW), None)
    found = standing(asking, torch.arange(50), catalogue, Exchange.alone())
    assert found.rank_N.tolist() == [300] * 50
