"""S7: contents, actions and entries interleaved into tokens."""

import numpy as np

from transforms.core.entries import Entries
from transforms.core.history import Held
from transforms.core.timeline import Contents, content_rows, interleave


def test_s7_two_tokens_an_engagement_one_an_entry() -> None:
    entries = Entries(*(np.array(column) for column in (
        [0, 0, 0, 1], [0, 1, 1, 5], [2, 3, 3, 2], [9, 4, -4, 0], [100, 105, 106, 700],
    )))  # fmt: skip
    contents = Contents(*(np.array(column) for column in (
        [0, 0, 1, 1], [11, 12, 21, 22], [1, 0, 3, 2], [101, 110, 701, 702],
    )))  # fmt: skip
    # Life 1 goes on from its content 5: the head entry at 5 stands before it.
    held = Held(np.array([0, 1]), np.array([0, 5]), np.array([2, 7]), np.array([0, 0, 0, 1]),
                np.array([0, 1, 2, 3]))  # fmt: skip
    rows = content_rows(held, np.array([0, -3]))
    assert rows.tolist() == [0, 1, 2, 3]
    tokens = interleave(held, rows, contents, entries)
    assert tokens.offsets.tolist() == [0, 7, 12]
    assert tokens.kind.tolist() == [2, 0, 1, 3, 3, 0, 1, 2, 0, 1, 0, 1]
    assert tokens.id.tolist() == [9, 11, 1, 4, -4, 12, 0, 0, 21, 3, 22, 2]
    assert tokens.time.tolist() == [100, 101, 101, 105, 106, 110, 110, 700, 701, 701, 702, 702]


def test_s7_a_head_of_older_entries_stands_first() -> None:
    entries = Entries(*(np.array(column) for column in ([0, 0], [1, 3], [2, 3], [9, 8], [1, 3])))
    contents = Contents(*(np.array(column) for column in ([0], [7], [0], [9])))
    held = Held(np.array([0]), np.array([4]), np.array([5]), np.array([0, 0]), np.array([0, 1]))
    tokens = interleave(held, content_rows(held, np.array([-4])), contents, entries)
    assert tokens.id.tolist() == [9, 8, 7, 0]
    assert tokens.time.tolist() == [1, 3, 9, 9]


def test_s7_no_sequences_no_tokens() -> None:
    nothing = np.empty(0, np.int64)
    held = Held(nothing, nothing, nothing, nothing, nothing)
    tokens = interleave(held, nothing, Contents(*[nothing] * 4), Entries(*[nothing] * 5))
    assert (tokens.offsets.tolist(), len(tokens.kind)) == ([0], 0)
