"""Which ids go: held against sorting, and against clocks that differ."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels.hashing import hashed
from model.exchange import Exchange
from model.vocabulary import eviction
from model.vocabulary.eviction import least_recent, nth_smallest, oldest_allowed, surplus_of

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(INT64 | st.integers(0, 3), min_size=1, max_size=30), st.data())
def test_the_nth_smallest_is_that_of_the_sorted_numbers(
    numbers: list[int], data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, len(numbers)))
    assert nth_smallest(torch.tensor(numbers), n, Exchange.alone()) == sorted(numbers)[n - 1]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.data())
def test_those_seen_longest_ago_go_and_hashes_decide_between_equals(
    times: list[int], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(times)))
    id_N = torch.arange(len(times)) * 7 + 1
    gone_N = least_recent(id_N, torch.tensor(times), count, Exchange.alone())
    hashes = hashed(eviction._KEY, id_N).tolist()
    order = sorted(range(len(times)), key=lambda one: (times[one], hashes[one]))
    assert gone_N.nonzero().squeeze(1).tolist() == sorted(order[:count])


@pytest.mark.parametrize(
    ("now", "limit"), [(1_000_000, 360_000), (1_009_999, 360_000), (1_010_000, 370_000)]
)
def test_age_moves_in_steps(now: int, limit: int) -> None:
    assert oldest_allowed(now, 640_000) == limit


def test_a_full_table_frees_a_sixteenth() -> None:
    assert [surplus_of(rows, 160) for rows in (0, 160, 161, 200)] == [0, 0, 11, 50]
    assert [surplus_of(rows, 3) for rows in (3, 4)] == [0, 1]
