"""Beam search against all sequences tried one by one."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from model.beam import Scorer, beam_search


def table_of(seed: int, rows: int, impossible: float = 0.0) -> dict[tuple[int, ...], list[float]]:
    """Log-probabilities of the next row after each prefix of up to three contents."""
    draw = torch.Generator().manual_seed(seed)
    table = {}
    for length in range(4):
        for prefix in product(range(rows), repeat=length):
            scores = torch.randn(rows, generator=draw, dtype=torch.float64)
            scores[torch.rand(rows, generator=draw) < impossible] = -math.inf
            table[prefix] = scores.log_softmax(0).nan_to_num(-math.inf, neginf=-math.inf).tolist()
    return table


def scorer_of(table: dict[tuple[int, ...], list[float]]) -> Scorer:
    def scorer(prefix_NL: Tensor) -> Tensor:
        rows = [table[tuple(prefix)] for prefix in prefix_NL.tolist()]
        return torch.tensor(rows, dtype=torch.float64)

    return scorer


def all_sequences(
    table: dict[tuple[int, ...], list[float]], rows: int, length: int, repeats: bool
) -> list[tuple[float, tuple[int, ...]]]:
    """Every possible sequence with its log-probability, the best first."""
    found = []
    for sequence in product(range(rows), repeat=length):
        total = sum(table[sequence[:at]][row] for at, row in enumerate(sequence))
        if total > -math.inf and (repeats or len(set(sequence)) == length):
            found.append((total, sequence))
    return sorted(found, reverse=True)


@given(
    seed=st.integers(0, 1_000),
    rows=st.integers(1, 5),
    length=st.integers(1, 4),
    repeats=st.booleans(),
    impossible=st.sampled_from([0.0, 0.4]),
)
def test_a_beam_that_holds_all_prefixes_finds_the_best(
    seed: int, rows: int, length: int, repeats: bool, impossible: float
) -> None:
    table = table_of(seed, rows, impossible)
    expected = all_sequences(table, rows, length, repeats)
    beam = beam_search(scorer_of(table), length, rows**length, repeats=repeats)
    if expected:
        assert [tuple(row) for row in beam.row_KL.tolist()] == [row for _, row in expected]
        assert beam.log_probability_K.tolist() == pytest.approx([total for total, _ in expected])
    else:
        assert beam.row_KL.shape[1] < length


@given(seed=st.integers(0, 1_000), width=st.integers(1, 6), length=st.integers(1, 4))
def test_a_narrow_beam_finds_possible_sequences_with_their_own_probabilities(
    seed: int, width: int, length: int
) -> None:
    table = table_of(seed, 5)
    every = {row: total for total, row in all_sequences(table, 5, length, repeats=False)}
    beam = beam_search(scorer_of(table), length, width)
    found = [tuple(row) for row in beam.row_KL.tolist()]
    totals = beam.log_probability_K.tolist()
    assert len(found) == len(set(found)) == min(width, 5 if length == 1 else width)
    assert totals == pytest.approx([every[row] for row in found])
    assert totals == sorted(totals, reverse=True)


def test_a_beam_of_one_takes_the_best_at_each_step() -> None:
    table = table_of(3, 4)
    taken: list[int] = []
    for _ in range(3):
        scores = table[tuple(taken)]
        taken.append(max((row for row in range(4) if row not in taken), key=scores.__getitem__))
    assert beam_search(scorer_of(table), 3, 1).row_KL.tolist() == [taken]


def test_the_best_at_first_is_not_the_best_in_the_end() -> None:
    """Two kept prefixes find what one does not."""
    likely, unlikely = math.log(0.9), math.log(0.1)
    table = {
        (): [math.log(0.6), math.log(0.4)],
        (0,): [math.log(0.5), math.log(0.5)],
        (1,): [likely, unlikely],
    }
    assert beam_search(scorer_of(table), 2, 1, repeats=True).row_KL.tolist()[0][0] == 0
    best = beam_search(scorer_of(table), 2, 2, repeats=True)
    assert best.row_KL.tolist()[0] == [1, 0]
    assert best.log_probability_K[0].item() == pytest.approx(math.log(0.36))


def test_a_catalogue_smaller_than_the_length_gives_all_of_it() -> None:
    beam = beam_search(lambda prefix: torch.zeros(len(prefix), 2), 5, 8)
    assert sorted(beam.row_KL.tolist()) == [[0, 1], [1, 0]]


def test_nothing_possible_is_no_content() -> None:
    beam = beam_search(lambda prefix: torch.full((len(prefix), 3), -torch.inf), 2, 4)
    assert beam.row_KL.tolist() == [[]]


@pytest.mark.parametrize("wrong", [math.nan, 0.5, math.inf])
def test_what_is_no_log_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="the scorer gave"):
        beam_search(lambda prefix: torch.full((len(prefix), 3), wrong), 2, 4)
