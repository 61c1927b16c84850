"""Which tiles are said to have few buckets, and what kernels look up, against one by one."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels import hstu_attention_launch as launch
from kernels.attention_mask import Mask
from kernels.attention_plan import AttentionPlan
from kernels.hstu_attention_lookup import looked_up
from kernels.hstu_attention_plan import tiles
from kernels.hstu_attention_tile import BELOW_ZERO
from kernels.time_buckets import time_bucket
from tests.kernels import attention_oracle as oracle
from tests.kernels.attention_cases import Case, case

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="for the interpreter's tiles")
CONSTANTS: dict[str, Any] = {"BLOCK_M": 16, "BLOCK_N": 16, "GRANULE": 16}
LENGTHS = st.lists(st.integers(0, 70), min_size=1, max_size=3)
TIMES = st.sampled_from(["ascending", "equal", "anyhow"])


def listed(each: Case, *, of_keys: bool) -> tuple[Any, Any]:
    mask = Mask(each.targets_B, each.window, each.prefix)
    sequences = launch.sequences(each.offsets_B1, mask, None)
    plan = AttentionPlan.of(each.offsets_B1, max(each.longest, 1), mask, each.bias)
    made = looked_up(each.bias, plan, sequences, CONSTANTS["GRANULE"])
    given = (plan, each.bias, sequences, len(each.q_THD), CONSTANTS)
    return made, tiles(*given, of_keys=of_keys, band=3)


def parts(given_tiles: Any, start: int, b: int, own: int) -> list[list[int]]:
    block = start // 16 + b + own
    ends = [0, *given_tiles.counts[block, :5].tolist()]
    row = given_tiles.entries[block].tolist()
    return [row[begin:end] for begin, end in pairwise(ends)]


@settings(max_examples=24)
@given(
    *(LENGTHS, TIMES, st.sampled_from([1, 20, 300]), st.booleans(), st.booleans()),
    *(st.none() | st.integers(1, 70), st.sampled_from([0, 0, 5, 16, 40])),
)
def test_tiles_are_each_in_one_part_and_what_it_says(
    lengths: list[int],
    times: str,
    positions: int,
    has_targets: bool,
    of_keys: bool,
    window: int | None,
    prefix: int,
) -> None:
    targets = [length // 3 for length in lengths] if has_targets else None
    each = case(lengths, times=times, positions=positions, targets=targets, buckets=40)
    each = replace(each, window=window, prefix=prefix)
    assert each.bias is not None
    _, given_tiles = listed(each, of_keys=of_keys)
    for b, length in enumerate(lengths):
        start, history = int(each.offsets_B1[b]), length - (targets[b] if targets else 0)
        blocks = -(-length // 16)
        for own in range(blocks):
            found = parts(given_tiles, start, b, own)
            others = [entry & 0xFFFFF for part in found for entry in part]
            pairs = {(x, own) if of_keys else (own, x): x for x in range(blocks)}
            seen = {x for (m, n), x in pairs.items() if _seen(each, m, n, length, history)[0]}
            assert sorted(others) == sorted(seen)
            for kind, part in enumerate(found[:4]):
                for entry in part:
                    x = entry & 0xFFFFF
                    m, n = (x, own) if of_keys else (own, x)
                    assert x * 16 + 16 <= length
                    if kind < 3:
                        assert _seen(each, m, n, length, history)[1]
                        _check_whole(each, start, m, n, history, kind, entry >> 20, positions)
                    if kind in (1, 2):
                        block = given_tiles.borders[start // 16 + b + own, x]
                        _check_borders(each, start, m, n, entry >> 20, block, of_keys)


def _seen(each: Case, m: int, n: int, length: int, history: int) -> tuple[bool, bool]:
    """Whether anything of a tile is seen, and whether all is."""
    rows = range(m * 16, min(m * 16 + 16, length))
    columns = range(n * 16, min(n * 16 + 16, length))
    seen = [
        oracle.is_visible(i, j, history, each.window, each.prefix) for i in rows for j in columns
    ]
    return any(seen), all(seen)


def _check_whole(
    each: Case, start: int, m: int, n: int, history: int, kind: int, first: int, positions: int
) -> None:
    assert each.bias is not None
    i, j = m * 16, n * 16
    assert j + 15 <= i
    assert j + 16 <= history
    end = int(each.offsets_B1[each.offsets_B1 > start][0])
    query = each.bias.query_time_T[start + i : min(start + i + 16, end)]
    key = each.bias.key_time_T[start + j : start + j + 16]
    bucket = time_bucket(query[:, None] - key, 40)
    if kind < 2:
        assert min(i, history) - (j + 15) >= positions - 1
    assert int(bucket.min()) >= first
    assert int(bucket.max()) <= first + kind


def _check_borders(
    each: Case, start: int, m: int, n: int, first: int, borders_R: Tensor, of_keys: bool
) -> None:
    """A row's buckets are those that its borders say."""
    assert each.bias is not None
    end = int(each.offsets_B1[each.offsets_B1 > start][0])
    query = each.bias.query_time_T[start + m * 16 : min(start + m * 16 + 16, end)]
    key = each.bias.key_time_T[start + n * 16 : min(start + n * 16 + 16, end)]
    bucket = time_bucket(query[:, None] - key, 40) - first
    rows_by_columns = bucket.T if of_keys else bucket
    lower_R, upper_R = borders_R.view(torch.bfloat16).view(-1, 2).float().unbind(1)
    column = torch.arange(16)
    is_lower, is_upper = column < lower_R[:, None], column < upper_R[:, None]
    later = 2 - is_lower.long() - is_upper.long() if of_keys else is_lower.long() + is_upper.long()
    assert torch.equal(later[: len(rows_by_columns)], rows_by_columns)


def test_tables_hold_halves_of_what_is_looked_up() -> None:
    each = case([40], heads=2, positions=7, buckets=9)
    assert each.bias is not None
    made, _ = listed(each, of_keys=True)
    distance_2HX, time_HX, far_HC4, *_ = made
    pad = BELOW_ZERO.value
    for distance in (-3, 0, 1, 6, 7, 39):
        right = each.bias.position_HP[:, min(max(distance, 0), 6)] / 2
        assert torch.equal(distance_2HX[0, :, pad + distance], right)
        assert torch.equal(distance_2HX[1, :, -1 - pad - distance], right)
    elapsed = torch.tensor([-(2**40), -1, 0, 1, 2, 3, 5, 24, 2**40])
    leading = elapsed.float().view(torch.int32).long() % 2**32 >> 22
    assert torch.equal(time_HX[:, leading], each.bias.time_HC[:, time_bucket(elapsed, 9)] / 2)
    last = each.bias.position_HP[:, -1:]
    for later in range(3):
        bucket = (torch.arange(9) + later).clamp(max=8)
        more = far_HC4[..., 1 : 1 + later].sum(2)
        torch.testing.assert_close(far_HC4[..., 3] + more, each.bias.time_HC[:, bucket] / 2)
        found = far_HC4[..., 0] + more
        torch.testing.assert_close(found, (each.bias.time_HC[:, bucket] + last) / 2)


@pytest.mark.parametrize("step", [1, 2**24, 2**40])
def test_a_clock_tells_differences_exactly(step: int) -> None:
    each = case([33])
    assert each.bias is not None
    each.bias.query_time_T.copy_(torch.arange(33) * step + 1_700_000_000_123)
    each.bias.key_time_T.copy_(each.bias.query_time_T - 7)
    made, _ = listed(each, of_keys=False)
    query, key = (clock[:33].view(torch.float32).view(-1, 2) for clock in made[3:5])
    upper = query[:, None] - key
    found = upper[..., 0] + upper[..., 1]
    right = each.bias.query_time_T[:, None] - each.bias.key_time_T
    assert torch.equal(found, right.float())
