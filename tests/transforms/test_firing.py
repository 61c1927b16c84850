"""When a shard fires."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine import spec_of
from tests.oracles import shop
from transforms.core.late import BEFORE_ALL
from transforms.firing import Firing


@pytest.mark.parametrize(
    ("gap", "horizon", "interval"),
    [("1s", "1s", 1_000), ("30m", "10m", 60_000), ("10m", "0s", 19_000), ("1d", "1d", 60_000)],
)
def test_about_32_firings_see_a_session(gap: str, horizon: str, interval: int) -> None:
    made = Firing.of(spec_of(shop.spec_of(session={"gap": gap}, horizon=horizon)))
    assert made.interval == interval
    assert Firing.of(spec_of(shop.spec_of()), 7).interval == 7


TIMES = st.integers(0, 10**13)


@given(st.lists(TIMES), st.none() | TIMES, st.integers(1, 60_000))
def test_there_is_a_firing_for_each_time_and_none_is_far_from_one(
    due: list[int], reached: int | None, interval: int
) -> None:
    made, known = Firing(500, interval), BEFORE_ALL if reached is None else reached
    at = made.at(np.array(due, np.int64), known)
    assert sorted({*at.tolist()}) == at.tolist()
    assert not (at % interval).any()
    for time in due:  # soon after it is final, or the last before `known`
        first = at[at >= time + 500].min()
        longer = interval if reached is None else max(interval, (time + 500 - known) / 32)
        assert first < time + 500 + interval + longer or first <= known
    past = [time for time in due if time + 500 <= known // interval * interval]
    assert (at <= known).sum() == bool(past)


@given(TIMES, TIMES, st.integers(1, 60_000))
def test_firings_go_on(due: int, now: int, interval: int) -> None:
    made = Firing(500, interval)
    at = made.after(now, due)
    assert at % interval == 0
    assert at > now
    assert made.final_at(at) >= due
    assert at - interval < max(due + 500, now + 1)


def test_a_shard_that_reads_up_on_the_past_fires_seldom() -> None:
    made, day = Firing(600_000, 60_000), 86_400_000
    due = np.arange(0, 2 * day, 1_000)
    assert len(made.at(due, BEFORE_ALL)) == 2 * day // 60_000 + 1
    ahead = made.at(due, 0)
    assert len(ahead) < 32 * 8
    assert ahead[:32].tolist() == list(range(600_000, 600_000 + 32 * 60_000, 60_000))
