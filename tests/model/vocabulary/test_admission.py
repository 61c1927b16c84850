"""Sightings are counted in bounded memory, fade, and do not depend on how cells are shared out."""

import torch

from model.exchange import Exchange
from model.vocabulary.admission import COUNTERS_A_SIGHTING, Admission
from model.vocabulary.settings import VocabularySettings
from model.vocabulary.sharding import CELLS, cell_of


def admission(admit_after: int, rank: int = 0, world: int = 1, counters: int = 2**16) -> Admission:
    settings = VocabularySettings(admit_after=admit_after, counters=counters)
    return Admission(settings, Exchange(rank, world), "cpu")


def seen(counts: Admission, ids: list[int], times: int = 1) -> list[bool]:
    id_n = torch.tensor(ids)
    return list(map(bool, counts.admitted(id_n, torch.full_like(id_n, times)).tolist()))


def test_an_id_is_admitted_at_its_third_sighting() -> None:
    counts = admission(3)
    assert seen(counts, [5, 6]) == [False, False]
    assert seen(counts, [5]) == [False]
    assert seen(counts, [5, 6]) == [True, False]
    assert seen(counts, [7], times=3) == [True]


def test_the_first_sighting_is_enough_if_so_asked_and_nothing_is_counted() -> None:
    counts = admission(1)
    assert seen(counts, [5]) == [True]
    assert counts.nbytes < 2**14


def test_what_is_seen_seldom_fades() -> None:
    counts, width = admission(2), 2**16 // CELLS
    assert seen(counts, [1]) == [False]
    same_cell_n = torch.arange(2, 100_000)
    same_cell_n = same_cell_n[cell_of(same_cell_n) == cell_of(torch.tensor([1]))]
    for one in same_cell_n[: width // COUNTERS_A_SIGHTING - 2].tolist():
        seen(counts, [one])
    assert int(counts._since_halving_L.sum()) == width // COUNTERS_A_SIGHTING - 1
    seen(counts, same_cell_n[20:21].tolist())
    assert not counts._since_halving_L.any()
    assert seen(counts, [1]) == [False]


def test_few_ids_are_taken_for_others_however_many_there_are() -> None:
    counts = admission(2)
    early = 0
    for begin in range(0, 200_000, 2_000):
        early += sum(seen(counts, list(range(begin, begin + 2_000))))
    assert 0 < early < 0.05 * 200_000
    assert counts.nbytes < 2**16 * 4 + 2**14


def test_cells_shared_out_count_as_one_process_does() -> None:
    alone, shared = admission(3), [admission(3, rank, 3) for rank in range(3)]
    generator = torch.Generator().manual_seed(3)
    for _ in range(40):
        id_U = torch.unique(torch.randint(1, 400, (60,), generator=generator))
        count_U = id_U % 3 + 1
        found_U = alone.admitted(id_U, count_U)
        owner_U = cell_of(id_U) % 3
        for rank, one in enumerate(shared):
            own_U = owner_U == rank
            assert torch.equal(one.admitted(id_U[own_U], count_U[own_U]), found_U[own_U])
    whole = admission(3)
    for one in shared:
        whole.load(one.state())
    assert all(torch.equal(whole.state()[name], kept) for name, kept in alone.state().items())
