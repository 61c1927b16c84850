"""S14: a sequence of n tokens is drawn with probability min(1, c / n)."""

import numpy as np
import pytest
import xxhash

from schemas.thinning import drawn, draws

IDS = [f"{n:032x}" for n in range(20_000)]


def test_s14_the_draw_is_the_hash_of_seed_and_id() -> None:
    (draw,) = draws(7, ["abc"])
    assert draw == xxhash.xxh3_64_intdigest(b"7:abc") / 2**64
    assert draws(8, ["abc"])[0] != draw
    assert len(draws(0, [])) == 0


@pytest.mark.parametrize(("tokens", "budget"), [(10, 5), (100, 5), (7, 6)])
def test_s14_c_of_n_are_drawn(tokens: int, budget: int) -> None:
    got = drawn(draws(3, IDS), np.full(len(IDS), tokens), budget)
    assert got.mean() == pytest.approx(budget / tokens, abs=0.012)


def test_s14_what_is_no_longer_than_c_is_always_drawn() -> None:
    draw = np.array([0.0, 1.0 - 2**-53])
    for tokens in (0, 1, 5):
        assert drawn(draw, np.full(2, tokens), 5).all()
    assert drawn(draw, np.full(2, 6), 5).tolist() == [True, False]


def test_s14_below_not_at() -> None:
    assert drawn(np.array([0.5, np.nextafter(0.5, 0)]), np.array([10, 10]), 5).tolist() == [
        False,
        True,
    ]


def test_s14_a_smaller_c_draws_a_subset() -> None:
    draw, tokens = draws(1, IDS), np.arange(len(IDS)) % 300 + 1
    smaller = np.zeros(len(IDS), bool)
    for budget in (1, 2, 10, 50, 299, 300):
        larger = drawn(draw, tokens, budget)
        assert not (smaller & ~larger).any()
        smaller = larger
    assert smaller.all()
