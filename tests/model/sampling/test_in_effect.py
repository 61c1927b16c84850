"""Which entries a subsequence needs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.sampling.in_effect import NEVER, needed_from, range_minimum
from model.sampling.token_rows import TokenRows
from tests.model.sampling.sequences import SETS, batch_of, row_of

lists = st.lists(st.integers(0, 99), min_size=1, max_size=40)


@given(lists, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=20))
def test_range_minimum_is_the_minimum(values: list[int], ranges: list[tuple[int, int]]) -> None:
    ranges = [(min(a, b, len(values)), min(max(a, b), len(values))) for a, b in ranges]
    begin, end = np.array(ranges, np.int64).reshape(-1, 2).T
    found = range_minimum(np.array(values), begin, end)
    assert found.tolist() == [min(values[a:b], default=NEVER) for a, b in ranges]


def test_an_entry_is_needed_by_contents_up_to_the_one_that_supersedes_it() -> None:
    tokens = [
        *((2, 1, 0), (3, 5, 0)),
        *((0, 10, 1), (1, 0, 1)),
        *((2, 2, 1), (2, 3, 1), (3, -5, 1), (3, -6, 1)),
        *((0, 11, 2), (1, 0, 2)),
        *((0, 12, 3), (1, 0, 3)),
        (2, 4, 3),
    ]
    rows = TokenRows.of(batch_of([row_of(tokens)]))
    token_F, needed_F = needed_from(rows, np.array([2, 1, 0]), SETS)
    found = dict(zip(token_F.tolist(), needed_F.tolist(), strict=True))
    assert found == {
        0: 2,  # up to the next country, only the first content has it
        1: 2,
        4: NEVER,  # superseded before any content
        5: 0,
        6: 2,  # of use only where the addition is there
        7: NEVER,  # takes back what never was there
        12: NEVER,  # after the last content
    }


def test_members_of_a_set_do_not_supersede_each_other_but_values_of_a_scalar_do() -> None:
    tokens = [(3, 5, 0), (3, 6, 0), (2, 5, 0), (2, 6, 0), (0, 1, 1), (1, 0, 1)]
    _, needed_F = needed_from(TokenRows.of(batch_of([row_of(tokens)])), np.array([0]), SETS)
    assert needed_F.tolist() == [NEVER, 0, 0, 0]
