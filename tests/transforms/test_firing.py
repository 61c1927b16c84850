"""When a shard fires."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.spec import Spec
from tests.machine import spec_of
from tests.oracles import shop
from transforms.firing import Firing


def spec(closing: bool = False, **changes: Any) -> Spec:
    written = shop.spec_of(**changes)
    if not closing:
        del written["sources"]["e"]["end"]
        del written["sources"]["x"]
    return spec_of(written)


@pytest.mark.parametrize(
    ("gap", "horizon", "interval"),
    [("1s", "1s", 1_000), ("30m", "10m", 60_000), ("10m", "0s", 18_750), ("1d", "1d", 60_000)],
)
def test_about_32_firings_see_a_session(gap: str, horizon: str, interval: int) -> None:
    made = Firing.of(spec(session={"gap": gap}, horizon=horizon), bounded=False)
    assert made.interval == interval
    assert Firing.of(spec(), False, 7).interval == 7


def test_a_session_is_complete_a_gap_after_its_first_record_at_the_soonest() -> None:
    made = Firing.of(spec(horizon="500ms"), False, 1)
    assert made.first(10_000) == 10_000 + 1000 + 500


@pytest.mark.parametrize(
    "changes", [{"closing": True}, {"session": {"gap": "1s", "max_contents": 3}}]
)
def test_end_marks_erasures_and_maxima_may_close_it_sooner(changes: dict[str, Any]) -> None:
    made = Firing.of(spec(horizon="500ms", attribution="200ms", **changes), False, 1)
    assert made.first(10_000) == 10_000 + 200 + 500


TIMES = st.integers(0, 10**13)


@given(TIMES, TIMES, TIMES, st.integers(1, 60_000))
def test_firings_are_on_a_grid_and_go_on(due: int, now: int, behind: int, interval: int) -> None:
    made = Firing.of(spec(horizon="500ms"), False, interval)
    at = made.next(due, now, median=min(behind, now))
    assert at % interval == 0
    assert at > now
    assert made.final_at(at) >= due
    assert at - interval < max(due + 500, now + 1)


@given(TIMES, st.integers(0, 10**9))
def test_a_job_that_reads_up_on_the_past_fires_half_way_to_the_median(now: int, ahead: int) -> None:
    made = Firing.of(spec(horizon="500ms"), False, 10)
    at = made.next(now - 500, now, median=now + ahead)
    assert at % 10 == 0
    assert now + ahead // 2 <= at < now + ahead // 2 + 11


def test_where_the_watermark_is_known_one_firing_does_for_all_that_is_past() -> None:
    made = Firing(bounded=False, horizon=100, wait=1_000, interval=500)
    assert made.next(due=0, now=1_000, median=90_000, known=60_499) == 60_000
    assert made.next(due=0, now=1_000, median=90_000) == 45_500  # half-way, where it is not
    assert made.next(due=2_000, now=1_000, median=0, known=1_200) == 2_500  # due comes first
    assert made.next(due=0, now=1_000, median=0, known=1_000, apart=3_000) == 4_000
