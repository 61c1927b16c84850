import torch
from hypothesis import example, given
from hypothesis import strategies as st

from kernels.time_buckets import time_bucket
from tests.kernels.attention_oracle import exact_bucket

EDGES = [edge + step for k in range(63) for edge in (2**k, 3 * 2**k // 2) for step in (-1, 0, 1)]


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1), st.integers(1, 140))
@example(EDGES, 140)
@example(EDGES, 40)
def test_buckets_are_those_of_exact_integers(differences: list[int], buckets: int) -> None:
    found = time_bucket(torch.tensor(differences), buckets)
    assert found.dtype == torch.int64
    assert found.tolist() == [exact_bucket(each, buckets) for each in differences]


def test_first_buckets_and_a_week() -> None:
    week = 7 * 24 * 3600 * 1000
    differences = torch.tensor([-week, 0, 1, 2, 3, 4, 5, 6, 8, week])
    assert time_bucket(differences, 64).tolist() == [0, 0, 1, 3, 4, 5, 5, 6, 7, 59]


def test_an_hour_or_a_minute_more_is_another_bucket_when_little_else_has_passed() -> None:
    minute, hour = 60_000, 3_600_000
    elapsed = torch.tensor([minute, 2 * minute, hour, 2 * hour])
    assert len(set(time_bucket(elapsed, 64).tolist())) == 4
