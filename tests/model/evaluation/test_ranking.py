"""Figures of ranking beside plain loops: NE, AUC, base rate, calibration, by action and age."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from model.evaluation.ages import GROUPS
from model.evaluation.ranking import BINS, HELP, LARGEST_LOGIT, Ranking
from model.reporting.names import figure, parts

ACTIONS = ("CLICK", "LIKE/%")
STEP = 2 * LARGEST_LOGIT / BINS

Engagement = tuple[tuple[float, float], tuple[int, int], int]


def engagements(logits: st.SearchStrategy[float]) -> st.SearchStrategy[list[Engagement]]:
    label, age = st.integers(0, 1), st.integers(0, len(GROUPS) - 1)
    return st.lists(st.tuples(st.tuples(logits, logits), st.tuples(label, label), age), max_size=25)


def update(ranking: Ranking, rows: Sequence[Engagement]) -> None:
    logits = torch.tensor([row[0] for row in rows]).reshape(-1, 2)
    labels = torch.tensor([row[1] for row in rows], dtype=torch.int64).reshape(-1, 2)
    ranking.update(logits, labels, torch.tensor([row[2] for row in rows], dtype=torch.int64))


def figures_of(rows: Sequence[Engagement]) -> dict[str, float]:
    ranking = Ranking(ACTIONS)
    update(ranking, rows)
    return ranking.value(ranking.sums())


def naive(logits: Sequence[float], labels: Sequence[int]) -> dict[str, float]:
    """Each figure as its definition has it."""
    if not labels:
        return {}
    rate = sum(labels) / len(labels)
    chances = [1 / (1 + math.exp(-logit)) for logit in logits]
    found = {"ranking/base_rate": rate}
    if rate > 0:
        found["ranking/calibration"] = sum(chances) / len(chances) / rate
    if 0 < rate < 1:
        pairs = list(zip(chances, labels, strict=True))
        loss = sum(-math.log(p if label else 1 - p) for p, label in pairs)
        entropy = -rate * math.log(rate) - (1 - rate) * math.log(1 - rate)
        found["ranking/ne"] = loss / len(labels) / entropy
        found["ranking/auc"] = naive_auc(logits, labels)
    return found


def naive_auc(logits: Sequence[float], labels: Sequence[int]) -> float:
    positives = [x for x, label in zip(logits, labels, strict=True) if label]
    negatives = [x for x, label in zip(logits, labels, strict=True) if not label]
    won = sum((p > n) + (p == n) / 2 for p in positives for n in negatives)
    return won / (len(positives) * len(negatives))


def naive_figures(rows: Sequence[Engagement]) -> dict[str, float]:
    found = {}
    for group in (None, *range(len(GROUPS))):
        part = [row for row in rows if group in (None, row[2])]
        age = {} if group is None else {"age": GROUPS[group]}
        if part:
            found[figure("ranking/positions", **age)] = float(len(part))
        for place, action in enumerate(ACTIONS):
            plain = naive([row[0][place] for row in part], [row[1][place] for row in part])
            found |= {figure(name, action=action, **age): x for name, x in plain.items()}
    return found


on_the_grid = st.integers(-BINS // 2, BINS // 2 - 1).map(lambda bin_: bin_ * STEP)


@given(engagements(on_the_grid))
def test_every_figure_is_that_of_plain_loops(rows: list[Engagement]) -> None:
    # One value a bin, so that even AUC is exact.
    found = figures_of(rows)
    assert found == pytest.approx(naive_figures(rows), rel=1e-9)
    assert {parts(name)[0] for name in found} <= HELP.keys()


@given(engagements(st.floats(-0.25, 0.25, width=32)))
def test_auc_is_within_the_pairs_that_share_a_bin(rows: list[Engagement]) -> None:
    logits, labels = [row[0][0] for row in rows], [row[1][0] for row in rows]
    if 0 < sum(labels) < len(labels):
        bins = [math.floor(logit / STEP) for logit in logits]
        shared = sum(
            bins[i] == bins[j]
            for i in range(len(rows))
            for j in range(len(rows))
            if labels[i] > labels[j]
        )
        most = shared / 2 / (sum(labels) * (len(labels) - sum(labels)))
        found = figures_of(rows)["ranking/auc/action=CLICK"]
        assert abs(found - naive_auc(logits, labels)) <= most + 1e-12


@given(engagements(on_the_grid), st.integers(0, 25))
def test_sums_of_two_parts_add(rows: list[Engagement], cut: int) -> None:
    one, two = Ranking(ACTIONS), Ranking(ACTIONS)
    update(one, rows[:cut])
    update(two, rows[cut:])
    found = one.value(one.sums() + two.sums())
    assert found == pytest.approx(figures_of(rows), rel=1e-12)


def test_updates_add_and_clear_begins_anew() -> None:
    rows: list[Engagement] = [((0.5, -1.0), (1, 0), 3), ((-0.5, 2.0), (0, 1), 0)]
    ranking = Ranking(ACTIONS)
    for row in rows:
        update(ranking, [row])
    assert ranking.value(ranking.sums()) == pytest.approx(figures_of(rows), rel=1e-12)
    ranking.clear()
    assert ranking.value(ranking.sums()) == figures_of([])


def one_action(logit_N: Tensor, label_N: Tensor) -> dict[str, float]:
    ranking = Ranking(["CLICK"])
    ranking.update(logit_N[:, None], label_N[:, None], torch.zeros(len(logit_N), dtype=torch.int64))
    found = ranking.value(ranking.sums())
    return {parts(key)[0]: value for key, value in found.items() if "age" not in parts(key)[1]}


def draw(n: int = 20_000) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logit_N = torch.randn(n, generator=generator) - 2
    return logit_N, (torch.rand(n, generator=generator) < logit_N.sigmoid()).long()


def test_the_base_rate_alone_has_an_ne_of_one_and_an_auc_of_a_half() -> None:
    _, label_N = draw()
    rate = label_N.double().mean()
    found = one_action(torch.logit(rate).repeat(len(label_N)), label_N)
    assert found["ranking/ne"] == pytest.approx(1, rel=1e-12)
    assert found["ranking/calibration"] == pytest.approx(1, rel=1e-12)
    assert found["ranking/auc"] == 0.5


def test_the_figures_tell_a_good_model_from_others() -> None:
    logit_N, label_N = draw()
    good = one_action(logit_N, label_N)
    assert good["ranking/ne"] < 0.95
    assert good["ranking/calibration"] == pytest.approx(1, abs=0.05)
    reversed_ = one_action(-logit_N, label_N)
    assert reversed_["ranking/auc"] == pytest.approx(1 - good["ranking/auc"], abs=1e-3)
    assert reversed_["ranking/ne"] > 1
    shifted = one_action(logit_N + 1, label_N)
    assert shifted["ranking/calibration"] > 1.5
    assert shifted["ranking/ne"] > good["ranking/ne"]
    assert shifted["ranking/auc"] == pytest.approx(good["ranking/auc"], abs=1e-3)


def test_auc_of_many_logits_is_near_the_exact_one() -> None:
    logit_N, label_N = draw()
    order = logit_N.double().argsort()
    rank_N = torch.empty(len(order), dtype=torch.float64)
    rank_N[order] = torch.arange(1, len(order) + 1, dtype=torch.float64)
    positives = int(label_N.sum())
    won = rank_N[label_N == 1].sum() - positives * (positives + 1) / 2
    exact = float(won) / (positives * (len(order) - positives))
    assert one_action(logit_N, label_N)["ranking/auc"] == pytest.approx(exact, abs=2e-5)


def test_large_logits_stay_finite() -> None:
    found = one_action(torch.tensor([1e4, -1e4, 1e4]), torch.tensor([1, 0, 0]))
    assert found["ranking/ne"] == pytest.approx(1e4 / 3 / 0.6365141682948128)
    assert found["ranking/auc"] == 0.75


def test_bfloat16_logits_are_scored_as_they_are() -> None:
    logit_N, label_N = draw(500)
    short = logit_N.bfloat16()
    assert one_action(short, label_N) == one_action(short.double(), label_N)


def test_nan_shows_in_the_entropy_and_harms_nothing_else() -> None:
    found = one_action(torch.tensor([math.nan, 1.0]), torch.tensor([1, 0]))
    assert math.isnan(found["ranking/ne"])
    assert found["ranking/auc"] == 0


def test_the_outermost_bins_are_apart_from_their_neighbours() -> None:
    edge = LARGEST_LOGIT
    logit_N = torch.tensor([edge - STEP, edge - 2 * STEP, STEP - edge, -edge])
    assert one_action(logit_N, torch.tensor([1, 0, 1, 0]))["ranking/auc"] == 0.75
