"""Hashes: SplitMix64 to the bit on every path, and numbers that look random."""

import math
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kernels.hashing import GAMMA, hashed, key_of, normal, uniform
from kernels.hashing_triton import mixed, uniform_of
from kernels.uniform_rows import uniform_rows

WORDS = st.integers(-(2**63), 2**63 - 1)
PUBLISHED = [  # the first outputs of SplitMix64 with the seed 1234567
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
HASHES = [
    -371861127037631947,
    -2199044058265845030,
    4340122961331896581,
    8701418479637024500,
]
NORMALS = [-1.6051297, -1.2648262, -0.7078695, -0.8212525]


def test_the_hash_is_splitmix64() -> None:
    states = [1234567 + step * GAMMA for step in range(len(PUBLISHED))]
    assert [key_of(state) % 2**64 for state in states] == PUBLISHED


@given(st.lists(WORDS, min_size=2, max_size=4))
def test_tensors_hash_as_numbers_do(numbers: list[int]) -> None:
    key, *rest = numbers
    assert hashed(key, *(torch.tensor([number]) for number in rest)).item() == key_of(*numbers)


def test_numbers_broadcast() -> None:
    rows, columns = torch.tensor([3, -1, 2**62]), torch.arange(4)
    found = hashed(9, rows[:, None], columns)
    assert found.tolist() == [[key_of(9, r, c) for c in range(4)] for r in rows.tolist()]


def test_order_and_each_number_count() -> None:
    keys = {key_of(*numbers) for numbers in [(1, 2), (2, 1), (1,), (1, 2, 0), (0, 1, 2), ()]}
    assert len(keys) == 6


def test_draws_are_the_same_for_ever() -> None:
    ids = torch.tensor([0, 1, -7, 2**62 + 5])
    assert hashed(5, ids).tolist() == HASHES
    assert (uniform(5, ids) * 2**24).tolist() == [(each % 2**64) >> 40 for each in HASHES]
    torch.testing.assert_close(normal(5, ids), torch.tensor(NORMALS))


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 1), (7, 50), (300, 7)])
@pytest.mark.parametrize("key", [0, 5, 2_000])
def test_rows_of_draws_are_those_of_plain_hashes(
    key: int, rows: int, columns: int, device: torch.device
) -> None:
    row_T = hashed(1, torch.arange(rows, device=device))
    plain_TM = uniform(key, row_T[:, None], torch.arange(columns, device=device))
    for implementation in ("triton", "reference"):
        assert torch.equal(uniform_rows(key, row_T, columns, implementation), plain_TM)
    if rows > 1:
        assert not torch.equal(uniform_rows(key, row_T.flip(0), columns, "triton"), plain_TM)


@pytest.mark.parametrize("bit", [0, 1, 31, 32, 62, 63])
def test_one_bit_changes_half_of_all_bits(bit: int) -> None:
    numbers = torch.arange(4_000)
    flipped = hashed(3, numbers) ^ hashed(3, numbers ^ _signed(1 << bit))
    ones = torch.stack([(flipped >> place) & 1 for place in range(64)]).double().mean(1)
    assert ((ones - 0.5).abs() < 5 * 0.5 / math.sqrt(4_000)).all()


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def farthest(draws: Tensor, share_below: Any) -> float:
    """Kolmogorov and Smirnov's distance from a distribution, in units of 1 / √n."""
    ordered = draws.double().flatten().sort().values
    steps = torch.arange(len(ordered)) / len(ordered)
    return float((share_below(ordered) - steps).abs().max()) * math.sqrt(len(ordered))


def even(x: Tensor) -> Tensor:
    return x.clamp(0, 1)


FAR = 2.0  # passed by chance once in 1,500 times


def test_uniform_is_even_and_neighbours_are_independent() -> None:
    draws = uniform(1, torch.arange(200)[:, None], torch.arange(100))
    assert draws.dtype == torch.float32
    assert 0 <= float(draws.min()) <= float(draws.max()) < 1
    assert farthest(draws, even) < FAR
    for one, other in ((draws[1:], draws[:-1]), (draws[:, 1:], draws[:, :-1])):
        assert farthest((one + other) % 1, even) < FAR


def test_normal_is_never_infinite() -> None:
    """One draw of 2^25 is, where float32 rounds the radius to 1: one of these."""
    drawn = normal(key_of(0, *b"category:creator"), torch.tensor(4180), torch.arange(512))
    assert drawn.abs().max() < 8.7


def test_normal_is_normal() -> None:
    draws = normal(1, torch.arange(200)[:, None], torch.arange(100))
    assert draws.dtype == torch.float32
    assert draws.isfinite().all()
    assert farthest(draws, torch.special.ndtr) < FAR
    assert farthest((draws[:, ::2] + draws[:, 1::2]) / 2**0.5, torch.special.ndtr) < FAR


def test_the_check_of_a_distribution_fails_another() -> None:
    draws = uniform(1, torch.arange(20_000))
    assert farthest(draws, torch.special.ndtr) > FAR
    assert farthest(draws**1.05, even) > FAR
    assert farthest(normal(1, torch.arange(20_000)) + 0.05, torch.special.ndtr) > FAR


def test_a_kernel_hashes_the_same(device: torch.device) -> None:
    numbers = torch.tensor([0, 1, -1, 2**63 - 1, -(2**63), 12345678901234567, 7, 8], device=device)
    hashes, draws = torch.empty_like(numbers), torch.empty(8, device=device)
    for key in (0, 1, 2**31, -(2**63)):
        _hash_in_kernel[(1,)](hashes, draws, numbers, key_of(key), COUNT=8)
        assert torch.equal(hashes, hashed(key, numbers, numbers))
        assert torch.equal(draws, uniform(key, numbers, numbers))


@triton.jit  # type: ignore[untyped-decorator]
def _hash_in_kernel(hashes_ptr, draws_ptr, numbers_ptr, key, COUNT: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, COUNT)
    number = tl.load(numbers_ptr + at)
    hash = mixed(mixed(key.to(tl.int64) ^ number) ^ number)
    tl.store(hashes_ptr + at, hash)
    tl.store(draws_ptr + at, uniform_of(hash))
