"""Subsequences beside the plain loops of tests/model/sequences.py."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.sampling.subsequence import Choice, ranks, recency, subsequences
from model.sampling.token_rows import TokenRows, with_tokens
from schemas.sequences import ACTION, CONTENT
from tests.model.sampling.sequences import (
    SETS,
    Token,
    batch_of,
    engaged,
    in_effect,
    row_of,
    shortest,
    timelines,
)

choices = st.sampled_from(["newest", "random", "recency"])


def cut(rows: list[Any], limits: list[int], choice: Choice, seed: int = 0) -> list[list[Token]]:
    batch = batch_of(rows)
    flat = TokenRows.of(batch)
    rank_E = ranks(flat, choice, seed, batch["sequence_id"].to_pylist())
    made = with_tokens(batch, flat, subsequences(flat, np.array(limits), rank_E, SETS))
    made.validate(full=True)
    return [tokens_in(row) for row in made.to_pylist()]


def tokens_in(row: Any) -> list[Token]:
    times = [round(time.timestamp() * 1000) for time in row["token_time"]]
    return list(zip(row["token_type"], row["token_id"], times, strict=True))


def contents_in(tokens: list[Token]) -> list[int]:
    return [number for kind, number, _ in tokens if kind == CONTENT]


def order_of(row: Any, choice: Choice) -> list[int]:
    flat = TokenRows.of(batch_of([row]))
    return [int(at) for at in np.argsort(ranks(flat, choice, 0, [row["sequence_id"]]))]


@given(st.lists(st.tuples(timelines(), st.integers(1, 5), st.integers(2, 40)), max_size=4), choices)
def test_it_is_what_plain_loops_choose(
    cases: list[tuple[list[Token], int, int]], choice: Choice
) -> None:
    rows = [row_of(tokens, new, f"{at:032x}") for at, (tokens, new, _) in enumerate(cases)]
    limits = [limit for _, _, limit in cases]
    wanted = [
        shortest(tokens, order_of(row, choice), limit, SETS)
        for row, (tokens, _, limit) in zip(rows, cases, strict=True)
    ]
    assert cut(rows, limits, choice) == wanted


@given(timelines(), st.integers(1, 5), st.integers(16, 40), choices)
def test_what_is_in_effect_at_a_content_is_what_was_in_effect_there(
    tokens: list[Token], new: int, limit: int, choice: Choice
) -> None:
    (found,) = cut([row_of(tokens, new)], [limit], choice)
    before = dict(zip(contents_in(tokens), in_effect(tokens, SETS), strict=True))
    for content, now in zip(contents_in(found), in_effect(found, SETS), strict=True):
        assert now == before[content]


@given(timelines(), st.integers(1, 5), st.integers(2, 40), choices)
def test_pairs_stay_whole_in_order_within_the_limit(
    tokens: list[Token], new: int, limit: int, choice: Choice
) -> None:
    (found,) = cut([row_of(tokens, new)], [limit], choice)
    assert 2 <= len(found) <= limit
    assert contents_in(found) == sorted(contents_in(found))
    kinds = [kind for kind, _, _ in found]
    assert all(kinds[at + 1] == ACTION for at, kind in enumerate(kinds) if kind == CONTENT)
    assert kinds.count(ACTION) == kinds.count(CONTENT)
    newest = contents_in(tokens)[-min(new, len(contents_in(found))) :]
    assert contents_in(found)[-len(newest) :] == newest


@given(timelines(), st.integers(1, 5), choices)
def test_with_room_for_all_only_what_no_content_sees_is_left_out(
    tokens: list[Token], new: int, choice: Choice
) -> None:
    (found,) = cut([row_of(tokens, new)], [1000], choice)
    assert contents_in(found) == contents_in(tokens)
    assert in_effect(found, SETS) == in_effect(tokens, SETS)


@pytest.mark.parametrize("choice", ["random", "recency"])
def test_draws_depend_on_seed_and_sequence_alone(choice: Choice) -> None:
    one, other = row_of(engaged(50), 1, "a" * 32), row_of(engaged(50), 1, "b" * 32)
    (found,) = cut([one], [20], choice)
    assert len(found) == 20
    assert cut([other, one], [20, 20], choice)[1] == found
    assert cut([other], [20], choice)[0] != found
    assert cut([one], [20], choice, seed=1)[0] != found


def drawn_shares(choice: Choice, contents: int, limit: int, sequences: int) -> np.ndarray[Any, Any]:
    rows = [row_of(engaged(contents), 1, f"{at:032x}") for at in range(sequences)]
    drawn = [contents_in(each) for each in cut(rows, [limit] * sequences, choice)]
    counts = np.bincount(np.concatenate(drawn), minlength=contents + 1)[1:]
    return counts / sequences


def test_random_draws_all_older_contents_alike() -> None:
    shares = drawn_shares("random", 21, 22, 3000)
    assert shares[-1] == 1
    np.testing.assert_allclose(shares[:-1], 0.5, atol=0.04)


def test_recency_draws_in_proportion_to_weights_that_fall_with_age() -> None:
    # One older content of ten is drawn, so shares are proportional to weights.
    shares = drawn_shares("recency", 11, 4, 6000)
    weights = np.arange(10) / 10  # of ages 10 to 1 seconds; the oldest has next to nothing
    np.testing.assert_allclose(shares[:-1], weights / weights.sum(), atol=0.02)


def test_recency_is_linear_in_time_and_never_nothing() -> None:
    tokens = [(0, 1, 0), (1, 0, 0), (0, 2, 500), (1, 0, 500), (0, 3, 999), (1, 0, 999)]
    rows = TokenRows.of(batch_of([row_of(tokens), row_of(engaged(1))]))
    np.testing.assert_allclose(recency(rows), [0.001, 0.501, 1, 1])


def test_newest_takes_the_newest() -> None:
    assert cut([row_of(engaged(9), 2)], [7], "newest") == [engaged(9)[-6:]]


def test_a_content_that_has_no_room_with_its_entries_keeps_the_newest_of_them() -> None:
    members = [(3, member, 0) for member in range(1, 9)]
    (found,) = cut([row_of([*members, *engaged(2)])], [5], "newest")
    assert found == [*members[-3:], *engaged(2)[-2:]]
