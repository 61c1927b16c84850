"""S8: where sessions open, and when they are complete."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.core.arrays import NEVER
from transforms.core.sessions import final_from, session_starts

GAP = 1000


def starts(times: list[int], ends: list[int] | None = None, most: int | None = None) -> list[bool]:
    n = len(times)
    before = np.array(ends or [0] * n)
    return list(session_starts(np.zeros(n, int), np.array(times), before, GAP, most).tolist())


@pytest.mark.parametrize(("pause", "opens"), [(999, False), (1000, False), (1001, True)])
def test_s8_more_than_the_gap_after_the_one_before(pause: int, opens: bool) -> None:
    assert starts([5, 5 + pause]) == [True, opens]


def test_s8_an_end_mark_between_the_two() -> None:
    assert starts([0, 1, 2, 3], [0, 0, 1, 3]) == [True, False, True, True]


def test_s8_a_session_that_is_full() -> None:
    assert starts([0, 1, 2, 3, 4], most=2) == [True, False, True, False, True]
    assert starts([0, 1, 1002, 1003, 1004], most=2) == [True, False, True, False, True]
    assert starts([0, 1], most=1) == [True, True]


def test_s8_another_life() -> None:
    life, time = np.array([0, 0, 1]), np.array([0, 1, 2])
    assert session_starts(life, time, np.zeros(3, int), GAP, 2).tolist() == [True, False, True]


STEPS = st.lists(st.tuples(st.sampled_from([0, 1, 999, 1000, 1001]), st.integers(0, 1)), min_size=1)


@given(STEPS, st.one_of(st.none(), st.integers(1, 3)))
def test_s8_as_a_plain_loop_has_it(steps: list[tuple[int, int]], most: int | None) -> None:
    times, ends = np.cumsum(steps, axis=0).T.tolist()
    want, size = [True], 1
    for place in range(1, len(times)):
        closed = times[place] - times[place - 1] > GAP or ends[place] > ends[place - 1]
        closed |= size == most
        want.append(bool(closed))
        size = 1 if closed else size + 1
    assert starts(times, ends, most) == want


@pytest.mark.parametrize(
    ("end", "contents", "when"),
    [
        (NEVER, 1, 1000 + 50),  # the gap
        (60, 1, 60 + 7),  # an end mark, and what may still join
        (50, 1, 50 + 7),
        (1050, 1, 1050),  # an end mark no sooner than the gap
        (1051, 1, 1050),
        (NEVER, 3, 50 + 7),  # full
        (60, 3, 50 + 7),
        (NEVER, 2, 1050),
    ],
)
def test_s8_a_session_is_complete_when_nothing_can_join_it(
    end: int, contents: int, when: int
) -> None:
    columns = np.array([50]), np.array([contents]), np.array([end])
    assert final_from(*columns, GAP, 7, 3).tolist() == [when]


def test_s8_without_a_maximum_none_is_full() -> None:
    columns = np.array([50]), np.array([3]), np.array([NEVER])
    assert final_from(*columns, GAP, 7, None).tolist() == [1050]
