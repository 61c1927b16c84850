"""S13, S15: where a history begins anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.core.ledger import UNSEEN
from transforms.core.lives import after_erasure, inherits, new_lives


def test_s13_what_stands_after_the_last_erasure_of_its_user_is_left() -> None:
    user = np.array([0, 0, 0, 0, 1, 1, 2])
    erase = np.array([0, 1, 1, 0, 0, 1, 0], bool)
    assert after_erasure(user, erase).tolist() == [False, False, False, True, False, False, True]


def test_s13_without_erasures_all_is_left() -> None:
    assert after_erasure(np.array([0, 1]), np.zeros(2, bool)).all()
    assert len(after_erasure(np.array([], int), np.zeros(0, bool))) == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=12))
def test_s13_as_a_plain_loop_has_it(rows: list[tuple[int, bool]]) -> None:
    rows.sort(key=lambda row: row[0])
    want = [
        not erase and not any(u == user and e for u, e in rows[place + 1 :])
        for place, (user, erase) in enumerate(rows)
    ]
    columns = np.array([u for u, _ in rows], int), np.array([e for _, e in rows], bool)
    assert after_erasure(*columns).tolist() == want


@pytest.mark.parametrize(("pause", "begins"), [(99, False), (100, False), (101, True)])
def test_s15_a_life_begins_more_than_r_after_the_row_before(pause: int, begins: bool) -> None:
    user, time = np.array([0, 0]), np.array([5, 5 + pause])
    assert new_lives(user, time, np.array([UNSEEN]), 100).tolist() == [True, begins]
    one = np.array([0]), np.array([5 + pause]), np.array([5]), 100
    assert inherits(*one).tolist() == [not begins]
    assert new_lives(*one).tolist() == [True]


def test_s15_without_retention_a_user_has_one_life() -> None:
    user, time, last = np.array([0, 0, 1]), np.array([0, 10**15, 3]), np.array([UNSEEN, UNSEEN])
    assert new_lives(user, time, last, None).tolist() == [True, False, True]
    assert inherits(user, time, last, None).tolist() == [True, True]


def test_s15_nothing_held_is_nothing_inherited() -> None:
    assert inherits(np.array([0]), np.array([0]), np.array([UNSEEN]), 100).tolist() == [False]
