"""Rows as flat arrays, and rows made anew of some of their tokens."""

import numpy as np

from model.sampling.token_rows import TokenRows, tokens_of, with_tokens
from tests.model.sampling.sequences import batch_of, engaged, row_of

ROWS = [row_of([(3, 7, 5), *engaged(2)], 1), row_of(engaged(3), 5), row_of(engaged(1), 1)]


def test_flat_arrays_say_what_the_rows_hold() -> None:
    rows = TokenRows.of(batch_of(ROWS).slice(1))  # a slice, whose lists don't begin at 0
    assert rows.offsets_R1.tolist() == [0, 6, 8]
    assert rows.id_T.tolist() == [1, 0, 2, 0, 3, 0, 1, 0]
    assert rows.time_T.tolist() == [1000, 1000, 2000, 2000, 3000, 3000, 1000, 1000]
    assert rows.row_E.tolist() == [0, 0, 0, 1]
    assert rows.content_offsets_R1.tolist() == [0, 3, 4]
    assert rows.new_contents_R.tolist() == [5, 1]
    assert tokens_of(batch_of(ROWS)).tolist() == [5, 6, 2]


def test_some_rows_are_like_those_rows_alone() -> None:
    some = TokenRows.of(batch_of(ROWS)).only(np.array([True, False, True]))
    alone = TokenRows.of(batch_of([ROWS[0], ROWS[2]]))
    for name in TokenRows.__dataclass_fields__:
        assert getattr(some, name).tolist() == getattr(alone, name).tolist()


def test_categories_and_contents_follow_the_tokens() -> None:
    batch = batch_of(ROWS)
    keep_T = np.array([1, 0, 0, 1, 1, *(0, 0, 1, 1, 1, 1), 1, 1], bool)
    made = with_tokens(batch, TokenRows.of(batch), keep_T)
    made.validate(full=True)
    assert made.schema == batch.schema
    assert made["token_id"].to_pylist() == [[7, 2, 0], [2, 0, 3, 0], [1, 0]]
    assert made["category_topic"].to_pylist() == [[[2, -2]], [[2, -2], [3]], [[1]]]
    assert made["contents"].to_pylist() == [1, 2, 1]
    assert made["new_contents"].to_pylist() == [1, 5, 1]
    sliced = with_tokens(batch.slice(1), TokenRows.of(batch.slice(1)), keep_T[5:])
    assert sliced.to_pylist() == made.slice(1).to_pylist()
