"""Firings that cost much are further apart."""

import time

import pytest

from transforms.pace import Pace


def test_all_shards_of_a_worker_fire_in_a_quarter_of_its_time() -> None:
    pace = Pace()
    assert pace.apart == 0
    for shard in range(5):
        pace.fired(shard, 0.1)
    assert pace.apart == pytest.approx(2)
    assert pace.next(3) == pytest.approx(time.time() + 2, abs=1)
    assert pace.next("one that has not fired") == 0


def test_what_a_shard_cost_long_ago_is_forgotten() -> None:
    pace = Pace()
    pace.fired(0, 8.0)
    assert pace.apart == 32
    for _ in range(40):
        pace.fired(0, 0.01)
    assert 0.04 <= pace.apart < 0.045


def test_no_shard_waits_for_more_than_a_minute() -> None:
    pace = Pace()
    pace.fired(0, 100.0)
    assert pace.apart == 60
