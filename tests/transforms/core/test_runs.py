"""S5: the first of each run of equal values is kept."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transforms.core.runs import first_of_runs


def kept(life: list[int], value: list[int], held: dict[int, int], lives: int = 3) -> list[bool]:
    has = np.array([n in held for n in range(lives)])
    holds = np.array([held.get(n, 0) for n in range(lives)])
    out = first_of_runs(np.array(life, int), np.array(value, int), has, holds)
    return list(out.tolist())


def test_s5_the_first_of_each_run() -> None:
    values = [1, 1, 2, 2, 1, 0, 0]
    assert kept([0] * 7, values, {}) == [True, False, True, False, True, True, False]


def test_s5_the_first_observation_is_kept_also_null() -> None:
    assert kept([0, 1], [0, 0], {}) == [True, True]


def test_s5_a_run_goes_on_from_what_is_held() -> None:
    assert kept([0, 0, 1, 2], [5, 6, 5, 0], {0: 5, 1: 6, 2: 0}) == [False, True, True, False]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12),
    st.dictionaries(st.integers(0, 2), st.integers(0, 2)),
)
def test_s5_as_a_plain_loop_has_it(rows: list[tuple[int, int]], held: dict[int, int]) -> None:
    rows.sort(key=lambda row: row[0])
    last, want = dict(held), []
    for life, value in rows:
        want.append(last.get(life) != value)
        last[life] = value
    assert kept([life for life, _ in rows], [value for _, value in rows], held) == want
