"""Baselines against a loop that goes through all engagements for each content that is asked."""

import math

import numpy as np
import pytest

from benchmarks.baselines import Engaged, engaged, ranks
from benchmarks.clicks.best import ranked, targets
from benchmarks.clicks.walk import walked
from tests.benchmarks.platform import CLICK, WALK, Made, new_contents
from tests.outcome import Row


def test_what_is_asked_is_what_the_truth_tells_of(
    made: Made,
) -> None:
    of = engaged(made.folder, CLICK)
    asked = targets(walked(WALK))
    assert sorted(of.time[of.asked].tolist()) == sorted(asked["time"].to_list())


@pytest.mark.parametrize("half_life", [math.inf, 86_400_000.0, 3_600_000.0])
@pytest.mark.parametrize("only_positive", [False, True])
def test_a_baseline_is_the_plain_loop(made: Made, half_life: float, only_positive: bool) -> None:
    of = engaged(made.folder, CLICK)
    counted = of.positive if only_positive else np.ones_like(of.positive)
    found = [rank for _, part in ranks(of, half_life, counted) for rank in part.tolist()]
    assert found == slow_ranks(made.rows, half_life, only_positive)
    assert len(set(found)) > 20


def slow_ranks(rows: list[Row], half_life: float, only_positive: bool) -> list[float]:
    """All engagements of all sessions before are gone through for each content that is asked."""
    known: dict[int, list[int]] = {}
    found: list[float] = []
    for row in sorted(rows, key=lambda row: (row["session_end"], row["sequence_id"])):
        news, now = new_contents(row), int(row["session_end"])
        scores = {
            item: (_score(times, now, half_life), max(times)) for item, times in known.items()
        }
        for _, item, bits, _, follows in news:
            if bits & CLICK and follows:
                ahead = [s for s in scores.values() if item in scores and s > scores[item]]
                found.append(1.0 + len(ahead) if item in scores else math.inf)
        for time, item, bits, _, _ in news:
            if bits & CLICK or not only_positive:
                known.setdefault(item, []).append(time)
    return found


def _score(times: list[int], now: int, half_life: float) -> float:
    """In logarithms: a score of long ago is less than the least float."""
    steps = [-(now - time) / half_life for time in times]
    return max(steps) + math.log2(math.fsum(2 ** (step - max(steps)) for step in steps))


def test_the_most_recent_is_the_last_engaged_with() -> None:
    of = Engaged(
        np.array([0, 3, 4]),
        np.array([0, 1, 0, 1]),
        np.array([0, 5, 10, 20]),
        np.ones(4, np.bool_),
        np.array([False, False, False, True]),
        contents=2,
    )
    every = np.ones(4, np.bool_)
    assert [part.tolist() for _, part in ranks(of, 1.0, every)] == [[2.0]]
    later = np.array([False, True, False, False])
    assert [part.tolist() for _, part in ranks(of, 1.0, later)] == [[1.0]]


def test_figures_of_ranks() -> None:
    found = ranked(np.array([1.0, 2.0, 11.0, np.inf]))
    assert (found["hr@1"], found["hr@10"], found["hr@50"]) == (0.25, 0.5, 0.75)
    assert found["ndcg@10"] == pytest.approx((1 + 1 / math.log2(3)) / 4)
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 11) / 4)
