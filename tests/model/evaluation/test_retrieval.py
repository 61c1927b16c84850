"""Ranks beside a plain loop, ties and pieces of a catalogue; figures of retrieval from ranks."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.ages import GROUPS
from model.evaluation.retrieval import HELP, TOP_K, Retrieval, candidates_ahead
from model.reporting.names import figure, parts

scores = st.lists(
    st.sampled_from([-1.0, 0.0, 0.5, math.inf, -math.inf, math.nan]), min_size=1, max_size=9
)
Target = tuple[int, float, int]
"""Rank, log probability, group of age."""
targets = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, 9, 10, 11, 50, 51, 200, 201]),
        st.floats(-9, 0),
        st.integers(0, len(GROUPS) - 1),
    ),
    max_size=20,
)


def naive_ahead(row: Sequence[float], target: int) -> int:
    """A candidate is behind only if its score is surely below the target's."""
    others = [score for column, score in enumerate(row) if column != target]
    return sum(not score < row[target] for score in others)


@given(scores, st.data())
def test_candidates_ahead_are_those_of_a_plain_loop(row: list[float], data: st.DataObject) -> None:
    target = data.draw(st.integers(0, len(row) - 1))
    score_1R, score_1 = torch.tensor([row]), torch.tensor([row[target]])
    found = candidates_ahead(score_1R, score_1, torch.tensor([target]))
    assert found.tolist() == [naive_ahead(row, target)]
    cut = data.draw(st.integers(0, len(row)))
    pieces = (
        candidates_ahead(piece, score_1, torch.tensor([column if 0 <= column < width else -1]))
        for piece, column, width in (
            (score_1R[:, :cut], target, cut),
            (score_1R[:, cut:], target - cut, len(row) - cut),
        )
    )
    assert sum(int(piece) for piece in pieces) == int(found)


def test_a_model_that_scores_all_alike_finds_nothing() -> None:
    score_NR = torch.zeros(3, 100)
    column_N = torch.tensor([0, 50, 99])
    assert candidates_ahead(score_NR, torch.zeros(3), column_N).tolist() == [99] * 3


def test_the_target_is_not_ahead_of_itself_by_another_rounding() -> None:
    # The target's score may come from a product of another shape, an ulp away.
    below = torch.tensor([1.0 - 2**-24])
    assert candidates_ahead(torch.tensor([[1.0, 0.5]]), below, torch.tensor([0])).tolist() == [0]


def update(retrieval: Retrieval, rows: Sequence[Target], candidates: int) -> None:
    ranks, chances, ages = (
        (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 3
    )
    retrieval.update(
        torch.tensor(ranks, dtype=torch.int64),
        torch.tensor(chances, dtype=torch.float32),
        torch.tensor(ages, dtype=torch.int64),
        candidates,
    )


def naive(rows: Sequence[Target], candidates: int, **age: str) -> dict[str, float]:
    """Each figure as its definition has it."""
    labels = {"candidates": "full", **age}
    found = {}
    ranked = [row for row in rows if row[0]]
    if ranked:
        surprise = -sum(math.log(math.exp(row[1])) for row in ranked) / len(ranked)
        found[figure("retrieval/log_perplexity", **labels)] = surprise
        found[figure("retrieval/uniform_log_perplexity", **labels)] = math.log(candidates)
    if rows:
        n = len(rows)
        found[figure("retrieval/targets", **labels)] = float(n)
        found[figure("retrieval/coverage", **labels)] = len(ranked) / n
        found[figure("retrieval/mrr", **labels)] = sum(1 / row[0] for row in ranked) / n
        for k in TOP_K:
            first = [row[0] for row in ranked if row[0] <= k]
            gain = sum(1 / math.log2(1 + rank) for rank in first)
            found[figure("retrieval/hit_rate", k=k, **labels)] = len(first) / n
            found[figure("retrieval/ndcg", k=k, **labels)] = gain / n
    return found


@given(targets)
def test_every_figure_is_that_of_plain_loops(rows: list[Target]) -> None:
    retrieval = Retrieval()
    update(retrieval, rows, 500)
    expected = naive(rows, 500)
    for group, name in enumerate(GROUPS):
        part = [row for row in rows if row[2] == group]
        expected |= naive(part, 500, age=name)
    found = retrieval.value(retrieval.sums())
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert {parts(name)[0] for name in found} <= HELP.keys()


@given(targets, st.integers(0, 20))
def test_sums_of_two_parts_add(rows: list[Target], cut: int) -> None:
    one, two, whole = Retrieval(), Retrieval(), Retrieval()
    update(one, rows[:cut], 500)
    update(two, rows[cut:], 500)
    update(whole, rows, 500)
    merged = one.value(one.sums() + two.sums())
    assert merged == pytest.approx(whole.value(whole.sums()), rel=1e-12)


def test_a_perfect_model_and_one_that_finds_nothing() -> None:
    perfect, blind = Retrieval(), Retrieval()
    update(perfect, [(1, 0.0, 1)] * 5, 300)
    update(blind, [(300, -math.log(300), 1)] * 5, 300)
    for name in ("hit_rate/k=1", "hit_rate/k=200", "ndcg/k=10"):
        assert perfect.value(perfect.sums())[f"retrieval/{name}/candidates=full"] == 1
        assert blind.value(blind.sums())[f"retrieval/{name}/candidates=full"] == 0
    found = blind.value(blind.sums())
    uniform = found["retrieval/uniform_log_perplexity/candidates=full"]
    assert found["retrieval/log_perplexity/candidates=full"] == pytest.approx(uniform, rel=1e-6)


def test_a_target_that_is_no_candidate_is_a_miss_whatever_its_probability() -> None:
    retrieval = Retrieval()
    update(retrieval, [(0, math.nan, 0), (1, -0.5, 0)], 10)
    found = retrieval.value(retrieval.sums())
    assert found["retrieval/hit_rate/k=200/candidates=full"] == 0.5
    assert found["retrieval/mrr/candidates=full"] == 0.5
    assert found["retrieval/log_perplexity/candidates=full"] == 0.5


def test_sampled_candidates_are_said_in_every_name() -> None:
    retrieval = Retrieval(sampled=1000)
    update(retrieval, [(1, -0.5, 0)], 1001)
    names = retrieval.value(retrieval.sums())
    assert {parts(name)[1]["candidates"] for name in names} == {"sampled 1000"}
