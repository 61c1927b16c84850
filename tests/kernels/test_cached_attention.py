"""Attention to keys in pages against plain loops in float64, and against attention to the whole."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kernels.cached_attention import cached_attention
from kernels.cached_keys import CANDIDATES, TOKENS, CachedKeys, Queries, Tables
from tests.kernels.attention_oracle import exact_bucket
from tests.kernels.precision import relative_error, too_far

PAGE = 64 if torch.cuda.is_available() else 32


@dataclass(frozen=True)
class Case:
    """Histories in pages, and what asks them: counts of queries, candidates or new tokens."""

    q_QHD: Tensor
    own: tuple[Tensor, Tensor] | None
    queries: Queries
    cached: CachedKeys
    tables: Tables
    alpha: float = 0.6
    divisor: float = 50.0
    window: int | None = None

    def attend(self, implementation: str | None = None) -> Tensor:
        how = {"own": self.own, "alpha": self.alpha, "divisor": self.divisor}
        how |= {"window": self.window}
        given = (self.q_QHD, self.queries, self.cached, self.tables)
        return cached_attention(*given, **how, implementation=implementation)  # type: ignore[arg-type]

    def to(self, kind: torch.dtype) -> "Case":
        cached, tables = self.cached, self.tables
        return replace(
            self,
            q_QHD=self.q_QHD.to(kind),
            own=None if self.own is None else (self.own[0].to(kind), self.own[1].to(kind)),
            cached=replace(cached, k_RHD=cached.k_RHD.to(kind), v_RHV=cached.v_RHV.to(kind)),
            tables=Tables(tables.position_HP.to(kind), tables.time_HC.to(kind)),
        )


def case(
    lengths: list[int],
    counts: list[int],
    *,
    candidates: bool,
    heads: int = 2,
    widths: tuple[int, int] = (5, 7),
    positions: int = 20,
    buckets: int = 40,
    behind: int = 0,
    within: bool = False,
    device: torch.device,
) -> Case:
    """Pages lie in no order, and all rows that no history has are NaN. Queries ask from beyond the
    history; `behind`: so many ms before its last token, so that times go back; `within`: they are
    its last tokens."""
    chance = torch.Generator().manual_seed(sum(lengths) + len(counts))
    width, value_width = widths
    most = -(-max(lengths, default=0) // PAGE) + 1
    page_BX = torch.randperm(len(lengths) * most, generator=chance).view(len(lengths), most)
    rows = page_BX.numel() * PAGE
    time_R = torch.full((rows,), 2**61)
    k_RHD = torch.full((rows, heads, width), torch.nan)
    v_RHV = torch.full((rows, heads, value_width), torch.nan)
    last = []
    for b, length in enumerate(lengths):
        j = torch.arange(length)
        row = page_BX[b, j // PAGE] * PAGE + j % PAGE
        k_RHD[row] = torch.randn(length, heads, width, generator=chance)
        v_RHV[row] = torch.randn(length, heads, value_width, generator=chance)
        time_R[row] = torch.randint(10**6, (length,), generator=chance).sort().values
        last.append(int(time_R[row].max()) if length else 0)
    total = sum(counts)
    position, time = [], []
    for length, count, end in zip(lengths, counts, last, strict=True):
        first = length - count if within else length
        position += [length] * count if candidates else [first + i for i in range(count)]
        time += (
            [end - behind + 50] * count
            if candidates
            else [end - behind + 7 * i for i in range(count)]
        )
    own = (
        torch.randn(total, heads, width, generator=chance).to(device),
        torch.randn(total, heads, value_width, generator=chance).to(device),
    )
    blocks = torch.from_numpy(Queries.blocks(counts, CANDIDATES if candidates else TOKENS))
    return Case(
        torch.randn(total, heads, width, generator=chance).to(device),
        own if candidates else None,
        Queries(
            blocks.to(device), torch.tensor(position).to(device), torch.tensor(time).to(device)
        ),
        CachedKeys(
            k_RHD.to(device),
            v_RHV.to(device),
            time_R.to(device),
            page_BX.int().to(device),
            torch.tensor(lengths, dtype=torch.int32).to(device),
            PAGE,
        ),
        Tables(
            torch.randn(heads, positions, generator=chance).to(device),
            torch.randn(heads, buckets, generator=chance).to(device),
        ),
    )


def oracle(each: Case, *, itself: bool = True, off: int = 0, later: bool = True) -> Tensor:
    """Score by score. `itself`, `off` and `later` break the rules, to see whether a check would
    notice."""
    cached, tables = each.cached, each.tables
    shape = (*each.q_QHD.shape[:2], cached.v_RHV.shape[2])
    out_QHV = torch.zeros(shape, dtype=torch.float64, device=each.q_QHD.device)
    for first, count, b in each.queries.block_N3.tolist():
        for i in range(first, first + count):
            now, at = int(each.queries.time_Q[i]), int(each.queries.position_Q[i])
            seen = []
            for j in range(int(cached.length_B[b])):
                row = int(cached.page_BX[b, j // PAGE]) * PAGE + j % PAGE
                elapsed, distance = now - int(cached.time_R[row]), at - j + off
                if distance < 0 and later:
                    continue
                if each.window is not None and distance >= each.window:
                    continue
                seen.append((cached.k_RHD[row], cached.v_RHV[row], distance, elapsed))
            if each.own is not None and itself:
                seen.append((each.own[0][i], each.own[1][i], 0, 0))
            for k_HD, v_HV, distance, elapsed in seen:
                place = min(max(distance, 0), tables.position_HP.shape[1] - 1)
                bucket = exact_bucket(elapsed, tables.time_HC.shape[1])
                score_H = each.alpha * (each.q_QHD[i].double() * k_HD.double()).sum(1)
                score_H += (tables.position_HP[:, place] + tables.time_HC[:, bucket]).double()
                weight_H = torch.nn.functional.silu(score_H) / each.divisor
                out_QHV[i] += weight_H[:, None] * v_HV.double()
    return out_QHV


CASES = {
    "candidates of histories of all lengths": (
        [0, 1, PAGE - 1, PAGE, 2 * PAGE + 3],
        [3, 2, 1, 4, 2],
    ),
    "a history that nobody asks": ([5, 9, 3], [2, 0, 1]),
    "more candidates than a block": ([PAGE + 5], [CANDIDATES + 3]),
}


@pytest.mark.parametrize("candidates", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_plain_pytorch_is_what_the_loops_say(name: str, candidates: bool) -> None:
    each = case(*CASES[name], candidates=candidates, device=torch.device("cpu")).to(torch.float64)
    assert relative_error(each.attend("reference"), oracle(each)) < 1e-12


@pytest.mark.parametrize("candidates", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_triton_is_as_exact_as_plain_pytorch(
    name: str, candidates: bool, device: torch.device
) -> None:
    each = case(*CASES[name], candidates=candidates, device=device)
    _as_exact(each)
    if device.type == "cuda":
        _as_exact(each.to(torch.bfloat16))


@pytest.mark.parametrize(
    "more",
    [
        {"widths": (32, 16)},
        {"widths": (1, 1), "heads": 3},
        {"positions": 1, "buckets": 1},
        {"positions": 5 * PAGE, "buckets": 96},
        {"behind": 10**6},
    ],
)
@pytest.mark.parametrize("candidates", [True, False])
def test_odd_shapes_and_times_that_go_back(
    candidates: bool, more: dict[str, int], device: torch.device
) -> None:
    _as_exact(case([PAGE + 9, 4], [5, 3], candidates=candidates, device=device, **more))  # type: ignore[arg-type]


def _as_exact(each: Case) -> None:
    exact = {"out": each.to(torch.float64).attend("reference")}
    found, plain = {"out": each.attend("triton")}, {"out": each.attend("reference")}
    assert not too_far(found, plain, exact)


@pytest.mark.parametrize("window", [1, 2, PAGE, PAGE + 5, 10 * PAGE])
@pytest.mark.parametrize("candidates", [True, False])
def test_a_window(candidates: bool, window: int, device: torch.device) -> None:
    made = case([2 * PAGE + 9, 4, 0], [5, 3, 2], candidates=candidates, device=device)
    each = replace(made, window=window)
    _as_exact(each)
    assert relative_error(each.attend("triton"), oracle(each)) < 1e-5


@pytest.mark.parametrize("window", [None, 3, PAGE + 5])
@pytest.mark.parametrize("counts", [[3, 1, 0], [CANDIDATES + 9, 5, 1], [2 * PAGE + 9, 4, 2]])
def test_tokens_of_the_cache_see_what_is_before_them(
    counts: list[int], window: int | None, device: torch.device
) -> None:
    lengths = [2 * PAGE + 9, 5, 2]
    made = case(lengths, counts, candidates=False, within=True, device=device)
    each = replace(made, window=window)
    _as_exact(each)
    right = oracle(each)
    assert relative_error(each.attend("reference"), right) < 1e-5
    assert relative_error(each.attend("triton"), right) < 1e-5
    for broken in ({"off": 1}, {"off": -1}, {"later": False}):
        assert relative_error(oracle(each, **broken), right) > 1e-3


@pytest.mark.parametrize("broken", [{"itself": False}, {"off": 1}, {"off": -1}])
def test_what_is_wrong_would_be_seen(broken: dict[str, int], device: torch.device) -> None:
    each = case([PAGE + 9, 4], [5, 3], candidates=True, device=device)
    right = oracle(each)
    assert relative_error(each.attend("triton"), right) < 1e-6
    assert relative_error(oracle(each, **broken), right) > 1e-3  # type: ignore[arg-type]
    assert relative_error(torch.zeros_like(right), right) > 1e-3


@given(st.lists(st.integers(0, 70), min_size=1, max_size=6), st.sampled_from([1, 16, 64]))
def test_blocks_are_those_of_plain_loops(counts: list[int], most: int) -> None:
    right: list[list[int]] = []
    for history, count in enumerate(counts):
        start = sum(counts[:history])
        right += [[start + n, min(count - n, most), history] for n in range(0, count, most)]
    found = Queries.blocks(counts, most)
    assert found.dtype == np.int32
    assert found.tolist() == right


def test_queries_of_no_block_give_zero(device: torch.device) -> None:
    each = case([9, 4], [5, 3], candidates=True, device=device)
    blocks_N3 = each.queries.block_N3.clone()
    blocks_N3[1, 1] = 0
    fewer = replace(each, queries=replace(each.queries, block_N3=blocks_N3))
    for implementation in ("triton", "reference"):
        found, whole = fewer.attend(implementation), each.attend(implementation)
        assert torch.equal(found[:5], whole[:5])
        assert not found[5:].any()


def test_a_page_of_broken_tiles_is_refused(device: torch.device) -> None:
    each = case([9], [5], candidates=True, device=device)
    with pytest.raises(ValueError, match="does not divide"):
        replace(each, cached=replace(each.cached, page=PAGE - 1)).attend("triton")
