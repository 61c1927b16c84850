"""Sampling by the draw of S14, alone and after the pipeline's thinning."""

import json

import numpy as np
import pytest

from model.sampling.sampler import Rates, Sampler
from schemas.failures import UsageError
from schemas.load import parse_spec
from schemas.spec import Sampling
from schemas.thinning import drawn, draws
from tests.schemas.shop import SHOP

IDS = [f"{n:032x}" for n in range(20_000)]
TOKENS = np.arange(len(IDS)) % 3000 + 1


def test_without_a_budget_all_are_kept() -> None:
    assert Sampler().kept(IDS, TOKENS).all()
    assert (Sampler().probability(TOKENS) == 1).all()


def test_it_is_the_draw_of_s14() -> None:
    kept = Sampler(200, 7).kept(IDS, TOKENS)
    assert kept.tolist() == drawn(draws(7, IDS), TOKENS, 200).tolist()


def test_after_thinning_with_the_same_seed_a_smaller_budget_alone_counts() -> None:
    arrived = Sampler(500, 7).kept(IDS, TOKENS)
    names = [name for name, is_there in zip(IDS, arrived, strict=True) if is_there]
    sampler = Sampler(100, 7, thinned=500)
    kept = sampler.kept(names, TOKENS[arrived])
    assert Sampler(100, 7).kept(IDS, TOKENS)[arrived].tolist() == kept.tolist()
    assert kept.sum() == Sampler(100, 7).kept(IDS, TOKENS).sum()
    assert sampler.probability(TOKENS[arrived]).sum() == pytest.approx(kept.sum(), rel=0.03)
    assert sampler.standing_for(TOKENS[arrived]).sum() == pytest.approx(len(IDS), rel=0.03)


def test_a_budget_above_the_pipelines_takes_all_that_arrives() -> None:
    sampler = Sampler(900, 7, thinned=500)
    assert sampler.effective == 500
    assert (sampler.probability(TOKENS) == 1).all()
    assert Sampler(None, 7, thinned=500).effective == 500


def test_of_a_spec_it_has_the_seed_and_the_budget_of_its_thinning() -> None:
    spec = parse_spec(SHOP).model_copy(update={"sampling": Sampling(tokens=40, seed=9)})
    assert Sampler.of(spec, 5) == Sampler(5, 9, 40)
    assert Sampler.of(spec.model_copy(update={"sampling": None}), 5) == Sampler(5, 0, None)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="must be at least 1"):
        Sampler(0)


def rates_of(sampler: Sampler, tokens: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Rates:
    rates = Rates()
    names = IDS[: len(tokens)]
    rates.add(tokens, sampler.kept(names, tokens), sampler.probability(tokens))
    return rates


def test_rates_are_by_octave() -> None:
    rates = rates_of(Sampler(4), np.array([1, 2, 3, 4, 7, 8, 1023, 1024]))
    assert [(rate.least, rate.most, rate.seen) for rate in rates.rows()] == [
        (1, 1, 1),
        (2, 3, 2),
        (4, 7, 2),
        (8, 15, 1),
        (512, 1023, 1),
        (1024, 2047, 1),
    ]
    expected = [rate.expected for rate in rates.rows()]
    np.testing.assert_allclose(expected, [1, 2, 1 + 4 / 7, 0.5, 4 / 1023, 4 / 1024])


def test_what_is_drawn_is_about_what_is_expected() -> None:
    for rate in rates_of(Sampler(100), TOKENS).rows():
        assert abs(rate.drawn - rate.expected) <= 4 * np.sqrt(rate.expected) * (rate.least > 63)


def test_rates_of_lanes_add_up_and_go_through_json() -> None:
    whole = rates_of(Sampler(50), TOKENS)
    again = Rates.of_state(json.loads(json.dumps(whole.state())))
    assert again.rows() == whole.rows()
    for one, two in zip(Rates.total([whole, again]).rows(), whole.rows(), strict=True):
        assert (one.seen, one.drawn) == (2 * two.seen, 2 * two.drawn)
