"""The catalogue is a list without repetition, in one order, from which is drawn evenly."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels.freshness_bias import HALF_LIVES
from model.exchange import Exchange
from model.vocabulary.catalogue import Catalogue
from model.vocabulary.id_table import ABSENT

IDS = st.lists(st.integers(1, 30), max_size=20)


def of(*ids: int) -> Catalogue:
    catalogue = Catalogue(Exchange.alone())
    catalogue.add(torch.tensor(ids, dtype=torch.int64), 1)
    return catalogue


def without(kept: list[int], gone: set[int]) -> list[int]:
    """The last ones, in their order, take the places of those that go."""
    left = sum(one not in gone for one in kept)
    moving = iter([one for one in kept[left:] if one not in gone])
    return [next(moving) if one in gone else one for one in kept[:left]]


@given(st.lists(st.tuples(st.booleans(), IDS), max_size=12))
def test_it_is_a_list(operations: list[tuple[bool, list[int]]]) -> None:
    catalogue, kept, times = of(), list[int](), dict[int, int]()
    for now, (adds, ids) in enumerate(operations):
        id_n = torch.tensor(ids, dtype=torch.int64)
        if adds:
            catalogue.add(id_n, now)
            new = sorted(set(ids) - set(kept))
            kept, times = kept + new, times | dict.fromkeys(new, now)
        else:
            catalogue.remove(id_n)
            kept = without(kept, set(ids))
        assert catalogue.ids.tolist() == kept
        assert catalogue.first_seen.tolist() == [times[one] for one in kept]
        asked = torch.arange(1, 31)
        places = {one: place for place, one in enumerate(kept)}
        assert catalogue.place(asked).tolist() == [places.get(one, ABSENT) for one in range(1, 31)]
        again = Catalogue(Exchange.alone())
        again.load(catalogue.state())
        assert again.ids.tolist() == kept
        assert again.place(asked).tolist() == catalogue.place(asked).tolist()


def test_every_id_is_drawn_as_often_as_any_other() -> None:
    drawn = torch.bincount(of(*range(1, 101)).sample(key=7, count=100_000), minlength=101)[1:]
    chi_square = float(((drawn - 1000.0) ** 2 / 1000).sum())
    assert 50 < chi_square < 160  # 99 degrees of freedom


def test_a_key_draws_the_same_again_and_another_key_something_else() -> None:
    catalogue = of(*range(1, 101))
    assert torch.equal(catalogue.sample(1, 50), catalogue.sample(1, 50))
    assert not torch.equal(catalogue.sample(1, 50), catalogue.sample(2, 50))
    assert torch.equal(catalogue.sample(1, 50)[:20], catalogue.sample(1, 20))


def test_nothing_is_drawn_from_nothing() -> None:
    assert of().sample(1, 5).tolist() == []


@given(st.lists(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 10**8)), max_size=6)))
def test_freshness_is_what_all_engagements_say(steps: list[list[tuple[int, int]]]) -> None:
    catalogue, engaged = of(1, 2, 3, 4), list[tuple[int, int]]()
    for step in steps:
        id_n, time_n = torch.tensor(step, dtype=torch.int64).reshape(-1, 2).unbind(1)
        catalogue.engage(id_n, time_n)
        engaged += step
    fresh = catalogue.fresh(torch.tensor([1, 2, 3, 4, 9]))
    assert fresh.first_S.tolist() == [1, 1, 1, 1, -1]
    assert fresh.last_S[4] == -1
    assert not fresh.heat_HS[:, 4].any()
    for one in range(1, 5):
        times = [time for content, time in engaged if content == one]
        last = max([1, *times])
        assert fresh.last_S[one - 1] == last
        for life, heat in zip(HALF_LIVES, fresh.heat_HS[:, one - 1].tolist(), strict=True):
            assert math.isclose(heat, sum(2 ** ((t - last) / life) for t in times), rel_tol=1e-9)


def test_one_that_is_removed_and_comes_again_is_cold() -> None:
    catalogue = of(1, 2)
    catalogue.engage(torch.tensor([1, 1, 2]), torch.tensor([5, 6, 7]))
    catalogue.remove(torch.tensor([1]))
    catalogue.add(torch.tensor([1]), 9)
    fresh = catalogue.fresh(torch.tensor([1, 2]))
    assert (fresh.first_S.tolist(), fresh.last_S.tolist()) == ([9, 1], [9, 7])
    assert not fresh.heat_HS[:, 0].any()
    assert fresh.heat_HS[:, 1].all()
    again = Catalogue(Exchange.alone())
    again.load(catalogue.state())
    assert torch.equal(again.heat, catalogue.heat)
