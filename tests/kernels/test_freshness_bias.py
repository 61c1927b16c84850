"""The bias by freshness in Triton against plain PyTorch in float64: entries, and sums by bucket."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from kernels.freshness_bias import HALF_LIVES, MOST, Freshness, freshness_bias
from kernels.freshness_bias_triton import PAIRS
from tests.kernels.precision import relative_error

NOW = 1_700_000_000_000
DAY = 86_400_000
Tables = tuple[Tensor, Tensor, Tensor]
Drawn = tuple[Tables, Tensor, Freshness, Tensor]


def drawn(queries: int, contents: int, buckets: int, each: bool, device: torch.device) -> Drawn:
    """Tables, times of queries, contents some of which were never seen, and a gradient."""
    chance = torch.Generator().manual_seed(queries + 7 * contents + buckets)
    table_4C = torch.randn(4, buckets, generator=chance)
    now_N = NOW + torch.randint(-DAY, DAY, (queries,), generator=chance)
    ago_2S = (torch.rand(2, contents, generator=chance, dtype=torch.float64) * 25).exp2().long()
    times_2S = torch.where(torch.rand(2, contents, generator=chance) < 0.2, -1, NOW - ago_2S)
    heat_HS = 9 * torch.rand(len(HALF_LIVES), contents, generator=chance, dtype=torch.float64)
    heat_HS *= torch.rand(contents, generator=chance) < 0.9
    dbias = torch.randn((queries,) if each else (queries, contents), generator=chance)
    first_S, last_S = times_2S.to(device)
    of = Freshness(first_S, last_S, heat_HS.to(device))
    return tables_of(table_4C.to(device)), now_N.to(device), of, dbias.to(device)


def tables_of(table_4C: Tensor) -> Tables:
    """By time since the last engagement, by age, by heat."""
    return table_4C[0], table_4C[1], table_4C[2:]


def both(made: Drawn, each: bool, how: str, kind: torch.dtype = torch.float32) -> list[Tensor]:
    """The bias, and the gradients of the tables."""
    tables, now_N, of, dbias = made
    idle, age, heat = (table.to(kind).detach().requires_grad_() for table in tables)
    bias = freshness_bias((idle, age, heat), now_N, of, each=each, implementation=how)
    return [bias.detach(), *torch.autograd.grad(bias, (idle, age, heat), dbias.to(kind))]


@pytest.mark.parametrize("buckets", [1, 40, 96, MOST])
@pytest.mark.parametrize(("queries", "contents"), [(0, 4), (5, 0), (1, 1), (7, 30), (3, PAIRS)])
def test_pairs_are_those_of_float64(
    queries: int, contents: int, buckets: int, device: torch.device
) -> None:
    made = drawn(queries, contents, buckets, False, device)
    check(both(made, False, "triton"), both(made, False, "reference", torch.float64))


@pytest.mark.parametrize("queries", [0, 1, 50, PAIRS + 3])
def test_each_is_that_of_float64(queries: int, device: torch.device) -> None:
    made = drawn(queries, queries, 96, True, device)
    check(both(made, True, "triton"), both(made, True, "reference", torch.float64))


def check(found: list[Tensor], exact: list[Tensor]) -> None:
    for one, other in zip(found, exact, strict=True):
        assert one.shape == other.shape
        assert relative_error(one, other) < 1e-5


def test_few_shares_go_on_with_the_next_pairs(
    monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    monkeypatch.setattr("kernels.freshness_bias_triton.SHARES", 2)
    made = drawn(40, 30, 96, False, device)
    check(both(made, False, "triton"), both(made, False, "reference", torch.float64))


@pytest.mark.parametrize("what", ["first_S", "last_S", "heat_HS", "now", "gradient"])
def test_what_is_wrong_by_a_little_is_seen(what: str, device: torch.device) -> None:
    tables, now_N, of, dbias = made = drawn(7, 30, 96, False, device)
    exact = both(made, False, "reference", torch.float64)
    if what == "now":
        now_N = now_N + DAY
    elif what == "gradient":
        dbias = dbias.index_fill(1, torch.tensor([2], device=device), 0)
    else:
        wrong = getattr(of, what) * 0.4
        of = replace(of, **{what: wrong.to(getattr(of, what).dtype)})
    found = both((tables, now_N, of, dbias), False, "triton")
    assert max(map(relative_error, found, exact)) > 1e-2


def test_what_does_not_go_together_is_refused(device: torch.device) -> None:
    (idle, age, heat), now_N, of, _ = drawn(3, 4, 8, False, device)
    with pytest.raises(ValueError, match="3 queries and 4 contents; must be as many"):
        freshness_bias((idle, age, heat), now_N, of, each=True)
    with pytest.raises(ValueError, match=r"tables and heat are .*, not \[C\], \[C\], \[H, C\]"):
        freshness_bias((idle, age[1:], heat), now_N, of)
    large = tables_of(torch.zeros(4, MOST + 1, device=device))
    with pytest.raises(ValueError, match="129 buckets; Triton's kernel takes 128"):
        freshness_bias(large, now_N, of, implementation="triton")
    assert freshness_bias(large, now_N, of).shape == (3, 4)
