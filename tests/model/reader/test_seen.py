"""The replay window, against a dict."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.reader.seen import ID, ReplayWindow, Seen, ids_of, user_of, users_of
from schemas.ids import bucket_of

ADD = st.tuples(st.just("add"), st.integers(0, 3), st.lists(st.integers(0, 40), max_size=20))
ERASE = st.tuples(st.just("erase"), st.integers(0, 4), st.integers(0, 10))
FORGET = st.tuples(st.just("forget"), st.integers(0, 3), st.just(0))
COPY = st.tuples(st.just("copy"), st.just(0), st.just(0))


def seen_of(numbers: list[int]) -> Seen:
    """Sequence n is of user n mod 5 and ends at n mod 11."""
    users = np.array([n % 5 for n in numbers], np.int64)
    return Seen(ids_of(map(str, numbers)), users, np.array([n % 11 for n in numbers], np.int64))


@settings(max_examples=200)
@given(st.lists(st.one_of(ADD, ADD, ERASE, FORGET, COPY), max_size=12))
def test_the_window_has_what_a_dict_has(steps: list[tuple[str, int, object]]) -> None:
    window, oracle = ReplayWindow(), set[tuple[int, int]]()
    abandoned: list[tuple[ReplayWindow, set[tuple[int, int]]]] = []
    for what, first, second in steps:
        if what == "add":
            assert isinstance(second, list)
            window.add(first, seen_of(second))
            oracle |= {(first, n) for n in second}
        elif what == "erase":
            assert isinstance(second, int)
            window.erase(first, second)
            oracle = {(g, n) for g, n in oracle if n % 5 != first or n % 11 > second}
        elif what == "forget":
            window.forget(first)
            oracle = {(g, n) for g, n in oracle if g >= first}
        else:
            abandoned.append((window, oracle))
            window, oracle = window.copy(), set(oracle)
        for each, known in [*abandoned, (window, oracle)]:
            there = each.has(ids_of(map(str, range(50)))).tolist()
            assert there == [n in {number for _, number in known} for n in range(50)]


@given(st.lists(st.integers(0, 1000), unique=True, max_size=60))
def test_generations_come_sorted_and_whole(numbers: list[int]) -> None:
    window = ReplayWindow()
    for number in numbers:
        window.add(number % 3, seen_of([number]))
    for generation, seen in window.generations():
        mine = [n for n in numbers if n % 3 == generation]
        assert seen.ids.tolist() == sorted(ids_of(map(str, mine)).tolist())
        by_id = dict(zip(ids_of(map(str, mine)).tolist(), mine, strict=True))
        assert seen.users.tolist() == [by_id[name] % 5 for name in seen.ids.tolist()]
    assert len(window) == len(numbers)
    assert max(map(len, window._runs.values()), default=0) <= 6  # log2 of at most 60


def test_hashes_that_end_in_zeros_are_told_apart() -> None:
    raw = np.frombuffer(bytes(15) + b"\1" + bytes(16) + b"\1" + bytes(15), ID)
    numbers = np.zeros(3, np.int64)
    window = ReplayWindow()
    window.add(0, Seen(raw[:1], numbers[:1], numbers[:1]))
    assert window.has(raw).tolist() == [True, False, False]


def test_a_users_hash_is_that_of_the_buckets() -> None:
    names = ["1", "user-7", "ü", ""]
    assert [user_of(name) % 2**64 % 8 for name in names] == [bucket_of(n, 8) for n in names]
    assert users_of(names).tolist() == [user_of(name) for name in names]
    assert min(map(user_of, names)) < 0 < max(map(user_of, names))
