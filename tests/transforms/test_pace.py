"""Firings that cost much are further apart."""

from transforms.pace import Pace


def test_all_shards_of_a_worker_fire_in_a_quarter_of_its_time() -> None:
    pace = Pace()
    assert pace.apart == 0
    for shard in range(5):
        pace.took(shard, 0.1)
    assert pace.apart == 2_000


def test_what_a_shard_cost_long_ago_is_forgotten() -> None:
    pace = Pace()
    pace.took(0, 8.0)
    assert pace.apart == 32_000
    for _ in range(40):
        pace.took(0, 0.01)
    assert 40 <= pace.apart < 45


def test_no_shard_waits_for_more_than_a_minute() -> None:
    pace = Pace()
    pace.took(0, 100.0)
    assert pace.apart == 60_000
