"""S4: an engagement soon after another with the same item joins it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.core.attribution import leaders


def led(rows: list[tuple[int, int, int]], window: int) -> list[int]:
    """The leaders of (life, item, time) rows."""
    life, item, time = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return list(leaders(life, item, time, window).tolist())


def greedy(rows: list[tuple[int, int, int]], window: int) -> list[int]:
    opened: dict[tuple[int, int], int] = {}
    out = []
    for place, (life, item, time) in enumerate(rows):
        leader = opened.get((life, item))
        if not window or leader is None or time - rows[leader][2] > window:
            opened[life, item] = leader = place
        out.append(leader)
    return out


@pytest.mark.parametrize(("apart", "joins"), [(99, True), (100, True), (101, False)])
def test_s4_at_most_a_after_the_first(apart: int, joins: bool) -> None:
    assert led([(0, 7, 1000), (0, 7, 1000 + apart)], 100) == [0, 0 if joins else 1]


def test_s4_the_window_is_of_the_first_not_of_the_last() -> None:
    rows = [(0, 7, t) for t in (0, 60, 100, 101, 160, 201, 202)]
    assert led(rows, 100) == [0, 0, 0, 3, 3, 3, 6]


def test_s4_other_items_and_lives_do_not_hinder_and_do_not_join() -> None:
    rows = [(0, 7, 0), (0, 8, 1), (0, 7, 2), (1, 7, 3), (1, 8, 4), (1, 7, 5)]
    assert led(rows, 100) == [0, 1, 0, 3, 4, 3]


def test_s4_off_each_is_its_own() -> None:
    assert led([(0, 7, 0), (0, 7, 0)], 0) == [0, 1]
    assert len(leaders(*(np.empty(0, np.int64),) * 3, 100)) == 0


ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 1), st.integers(0, 30)), min_size=1)


@settings(max_examples=200)
@given(ROWS, st.integers(0, 12), st.sampled_from([1, 10**3, 10**15, 1 << 57]), st.integers(-1, 1))
def test_s4_as_a_greedy_loop_has_it(
    rows: list[tuple[int, int, int]], window: int, scale: int, more: int
) -> None:
    """Also over spans so long that runs and times do not fit one number."""
    rows = sorted((life, item, time * scale) for life, item, time in rows)
    rows.sort(key=lambda row: (row[0], row[2]))
    wide = max(window * scale + more, 0)
    assert led(rows, wide) == greedy(rows, wide)


def test_s4_long_groups_take_few_steps() -> None:
    n = 20_000
    rows = [(0, 1, t) for t in range(n)]
    assert led(rows, 1) == greedy(rows, 1)
    assert led(rows, n) == [0] * n
