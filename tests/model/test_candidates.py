"""Ranks among a catalogue, against a plain loop over all candidates."""

import math

import pytest
import torch

from model.candidates import Candidates, standing
from model.exchange import Exchange
from model.heads import directions


def made(candidates: int, queries: int) -> tuple[torch.Tensor, torch.Tensor, Candidates]:
    generator = torch.Generator().manual_seed(candidates + 31 * queries)
    id_R = torch.randperm(3 * candidates + 1, generator=generator)[:candidates].sort().values
    vector_RM = torch.randn(candidates, 4, generator=generator)
    query_NM = 5 * torch.randn(queries, 4, generator=generator)
    target_N = torch.randint(0, 3 * candidates + 1, (queries,), generator=generator)
    return query_NM, target_N, Candidates(id_R, vector_RM)


@pytest.mark.parametrize(("candidates", "queries"), [(0, 3), (1, 4), (7, 0), (50, 20)])
@pytest.mark.parametrize("piece", [3, 8_192])
def test_it_is_as_in_a_loop(
    monkeypatch: pytest.MonkeyPatch, candidates: int, queries: int, piece: int
) -> None:
    monkeypatch.setattr("model.candidates.PIECE", piece)
    query_NM, target_N, catalogue = made(candidates, queries)
    found = standing(query_NM, target_N, catalogue, Exchange.alone())
    assert found.candidates == candidates
    ids = catalogue.id_R.tolist()
    for n, target in enumerate(target_N.tolist()):
        if target not in ids:
            assert found.rank_N[n] == 0
            continue
        scores = (directions(catalogue.vector_RM) @ query_NM[n]).double().tolist()
        own = scores[ids.index(target)]
        ahead = sum(score >= own for score in scores) - 1
        mass = sum(math.exp(score - own) for score in scores)
        assert found.rank_N[n] == 1 + ahead
        assert math.isclose(found.log_probability_N[n], -math.log(mass), rel_tol=1e-4)


def test_equal_candidates_stand_before_the_target() -> None:
    catalogue = Candidates(torch.arange(5), torch.ones(5, 3))
    found = standing(torch.ones(1, 3), torch.tensor([2]), catalogue, Exchange.alone())
    assert found.rank_N.tolist() == [5]
