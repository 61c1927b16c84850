"""c by what arrives and what the trainer can take."""

import json
from typing import Any

import numpy as np
import pytest

from model.sampling.steering import Steering
from schemas.failures import UsageError

HOUR = 3_600_000
Ints = np.ndarray[Any, np.dtype[np.int64]]


def arrive(steering: Steering, tokens: Ints, begin: int, end: int, cost: float = 1.0) -> None:
    time = np.linspace(begin, end, len(tokens)).astype(np.int64)
    steering.arrived(time, tokens, tokens.astype(float) * cost, np.ones(len(tokens)))


def lengths(count: int, seed: int = 0) -> Ints:
    draw = np.random.default_rng(seed).lognormal(5, 1.3, count)
    return np.clip(draw, 2, 20_000).astype(np.int64)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_at_c_as_much_is_drawn_as_can_be_taken(share: float) -> None:
    tokens = lengths(40_000)
    capacity = share * tokens.sum() / (4 * HOUR / 1000)
    steering = Steering(capacity)
    arrive(steering, tokens, 0, 4 * HOUR)
    c = steering.budget
    assert c is not None
    at_c, above = (np.minimum(tokens, each).sum() / (4 * HOUR / 1000) for each in (c, c + 1))
    assert at_c <= 1.03 * capacity
    assert above >= 0.97 * capacity  # c is a whole number


def test_where_all_can_be_taken_all_is() -> None:
    steering = Steering(1e9)
    arrive(steering, lengths(1000), 0, HOUR)
    assert steering.budget is None


def test_c_is_one_at_least() -> None:
    steering = Steering(1e-9)
    arrive(steering, lengths(1000), 0, HOUR)
    assert steering.budget == 1


def test_what_costs_half_may_be_twice_as_many() -> None:
    tokens = np.full(1000, 1024)
    capacity = 1000 * 128 / 3600  # c is 128, if a sequence costs its length
    for cost, c in ((1.0, 128), (0.5, 256)):
        steering = Steering(capacity)
        arrive(steering, tokens, 0, HOUR, cost)
        assert steering.budget == pytest.approx(c, rel=0.01)


def test_sequences_that_stand_for_several_count_as_often() -> None:
    tokens, time = np.full(1000, 1024), np.linspace(0, HOUR, 1000).astype(np.int64)
    steering = Steering(1000 * 128 / 3600)
    steering.arrived(time, tokens, tokens.astype(float), np.full(1000, 4.0))
    assert steering.budget == pytest.approx(32, abs=1)


def test_it_holds_the_first_until_a_quarter_of_its_memory_was_seen() -> None:
    steering = Steering(1.0, first=77)
    assert steering.budget == 77
    arrive(steering, lengths(1000), 0, HOUR // 4 - 1)
    assert steering.budget == 77
    arrive(steering, lengths(1000), HOUR // 4, HOUR // 4)
    assert steering.budget != 77


def test_it_follows_the_stream_within_its_memory() -> None:
    steering = Steering(1000 * 128 / 3600)
    for hour in range(12):
        arrive(steering, np.full(1000 if hour < 6 else 4000, 1024), hour * HOUR, (hour + 1) * HOUR)
        if hour == 5:
            assert steering.budget == pytest.approx(128, rel=0.02)
    assert steering.budget == pytest.approx(32, abs=1)


def test_how_the_stream_is_cut_makes_no_difference() -> None:
    tokens = lengths(2000)
    time = np.sort(np.random.default_rng(1).integers(0, 3 * HOUR, len(tokens)))
    whole, parts = Steering(50.0), Steering(50.0)
    whole.arrived(time, tokens, tokens.astype(float), np.ones(len(tokens)))
    for part in np.array_split(np.arange(len(tokens)), 37):
        parts.arrived(time[part], tokens[part], tokens[part].astype(float), np.ones(len(part)))
    np.testing.assert_allclose(parts.state()["sums"], whole.state()["sums"], rtol=1e-9)
    assert parts.budget == whole.budget


def test_late_sequences_weigh_what_they_would_have_in_time() -> None:
    late, early = Steering(1.0), Steering(1.0)
    arrive(late, np.array([8, 8]), 0, HOUR)
    arrive(late, np.array([64]), 10_000, 10_000)
    arrive(early, np.array([8]), 0, 0)
    arrive(early, np.array([64]), 10_000, 10_000)
    arrive(early, np.array([8]), HOUR, HOUR)
    np.testing.assert_allclose(late.state()["sums"], early.state()["sums"], rtol=1e-9)


def test_it_goes_on_from_its_state() -> None:
    steering, again = Steering(10.0), Steering(10.0)
    arrive(steering, lengths(500), 0, HOUR)
    again.load(json.loads(json.dumps(steering.state())))
    for each in (steering, again):
        arrive(each, lengths(500, 1), HOUR, 2 * HOUR)
    assert again.state() == steering.state()
    assert again.budget == steering.budget is not None


def test_a_capacity_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="must be more than 0"):
        Steering(0.0)
