"""Firings that cost much, whatever they are given, are further apart."""

import time
from collections.abc import Callable
from unittest.mock import patch

import pytest

from transforms.pace import Pace

SHARDS = 8


def test_all_shards_of_a_worker_fire_in_a_quarter_of_its_time() -> None:
    pace = Pace()
    assert pace.apart == 0
    for number in range(400):
        pace.fired(number % 5, 1_000, 0.1)
    assert pace.apart == pytest.approx(4 * 5 * 0.1, rel=0.01)
    assert pace.next(3) == pytest.approx(time.time() + 2, abs=1)
    assert pace.next("one that has not fired") == 0


def test_what_rows_take_does_not_count() -> None:
    pace = Pace()
    for number in range(100):
        rows = 1_000 * (number % 7)
        pace.fired(number % 5, rows, 0.1 + rows * 2e-5)
    assert pace.apart == pytest.approx(4 * 5 * 0.1, rel=0.2)


def test_who_has_read_up_on_the_past_does_not_wait_for_the_rest() -> None:
    pace = Pace()
    for shard in range(4):
        pace.fired(shard, 5_000, 0.2)
        pace.fired(shard, 150_000, 3.0)
    assert pace.apart < 4 * 4 * 0.2


def test_what_a_shard_cost_long_ago_is_forgotten() -> None:
    pace = Pace()
    for _ in range(40):
        pace.fired(0, 10, 8.0)
    assert pace.apart > 20
    for _ in range(200):
        pace.fired(0, 10, 0.01)
    assert 0.03 <= pace.apart < 0.05


def test_no_shard_waits_for_more_than_a_minute() -> None:
    pace = Pace()
    for _ in range(100):
        pace.fired(0, 10, 100.0)
    assert pace.apart == 60


@pytest.mark.parametrize("cost", [lambda rows: 0.1 + rows * 2e-5, lambda rows: 0.1, lambda _: 0.3])
def test_a_live_stream_leaves_a_worker_time(cost: Callable[[int], float]) -> None:
    """One worker in its own time: rows come evenly, and each shard fires when it may. Without a
    pace firings would take all of the time, or nearly so."""
    now, spent, rate = 0.0, 0.0, 20.0
    last = [0.0] * SHARDS
    with patch("transforms.pace.time.time", lambda: now):
        pace = Pace()
        while now < 2_000:
            shard = min(range(SHARDS), key=lambda s: (pace.next(s), last[s]))
            now = max(now + 0.001, pace.next(shard))
            rows = int(rate * (now - last[shard]))
            last[shard] = now
            now += cost(rows)
            spent += cost(0) if now > 500 else 0.0
            pace.fired(shard, rows, cost(rows))
    assert spent / 1_500 < 0.3
