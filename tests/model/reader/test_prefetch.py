"""Items made ahead: the same ones, errors in their places, and an end in good order."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.reader.prefetch import prefetched


@given(st.integers(0, 9), st.integers(1, 4))
def test_the_items_are_the_same(count: int, depth: int) -> None:
    assert [*prefetched(range(count), depth)] == [*range(count)]


def test_no_more_than_depth_are_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    ahead = prefetched(items(), 3)
    assert [next(ahead), next(ahead)] == [0, 1]
    ahead.close()
    assert 2 <= len(made) <= 5


def test_what_is_raised_comes_in_its_place() -> None:
    def items() -> Iterator[int | None]:
        yield 1
        yield None
        raise ValueError("three")

    ahead = prefetched(items(), 4)
    assert [next(ahead), next(ahead)] == [1, None]
    with pytest.raises(ValueError, match="three"):
        next(ahead)
    assert [*ahead] == []


def test_closed_early_it_closes_the_items_and_ends_its_thread() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.set()

    before = threading.active_count()
    making = items()
    ahead = prefetched(making, 2)
    assert next(ahead) == 0
    ahead.close()
    assert closed.is_set()
    assert threading.active_count() == before


def test_the_items_are_made_in_a_thread() -> None:
    def items() -> Iterator[str]:
        yield threading.current_thread().name

    assert next(prefetched(items())).startswith("prefetch")
