"""Choices with weights, so that most of what is drawn is plain and some of it is odd."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from hypothesis import strategies as st

# Ids that meet often, and those at the edges of the rule: plain, hashed, equal by their text.
PLAIN: list[Any] = [1, 2, 3, "1", "2", 2.0, 4]
ODD: list[Any] = [
    0, "0", -1, "-1", "01", 2**62 - 1, str(2**62 - 1), 2**62, 2**63, 0.5, -0.0, 1e22, 1e-7,
    True, "true", False, "", "a", "\u00e9", "e\u0301", "\U0001f600", "\uffff", '"\\\n\x01', "١",
]  # fmt: skip


def weighted(*choices: tuple[int, Sequence[Any]]) -> st.SearchStrategy[Any]:
    """A value of one of the lists, each list as often as its weight says."""
    return st.one_of(
        *(st.sampled_from(values) for weight, values in choices for _ in range(weight))
    )


@cache
def now_and_then(percent: int) -> st.SearchStrategy[bool]:
    """True in about so many cases of a hundred; shrinks to False."""
    return st.integers(0, 99).map(lambda drawn: drawn >= 100 - percent)


@cache
def ids() -> st.SearchStrategy[Any]:
    """One id, mostly of a few that meet."""
    return weighted((8, PLAIN), (2, ODD))


@cache
def id_lists(longest: int = 4) -> st.SearchStrategy[Any]:
    """One id, a list of ids with nulls and repeats, or null."""
    listed = st.lists(st.one_of(ids(), ids(), ids(), st.none()), max_size=longest)
    return st.one_of(ids(), listed, listed, st.none())
