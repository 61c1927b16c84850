"""Means of rows and their gradients against float64; rows asked for often, and never."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from kernels.pooled_rows import pooled_rows
from tests.kernels.gradients import as_type, randoms, results
from tests.kernels.precision import too_far

Lengths = Sequence[int] | None

CASES: dict[str, tuple[int, int, int, Lengths]] = {  # rows, width, asked for, lengths of bags
    "rows": (7, 5, 20, None),
    "one row, often": (1, 8, 600, None),
    "some rows, often": (3, 8, 700, None),
    "as often as a piece": (1, 8, 128, None),
    "few of many rows": (50, 16, 3, None),
    "no row": (4, 8, 0, None),
    "bags": (9, 8, 11, [3, 0, 1, 7]),
    "empty bags": (9, 8, 0, [0, 0]),
    "no bag": (9, 8, 0, []),
    "odd widths": (6, 33, 40, [13, 27]),
    "wide": (5, 1030, 7, [2, 5]),
}


def asked(
    name: str, device: torch.device
) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor | None]:
    rows, width, number, lengths = CASES[name]
    chance = torch.Generator().manual_seed(1)
    row_N = torch.randint(rows, (number,), generator=chance).to(device)
    offsets_E1 = None if lengths is None else torch.tensor([0, *lengths]).cumsum(0).to(device)
    bags = number if lengths is None else len(lengths)
    made = as_type(randoms({"table_UM": (rows, width), "dy": (bags, width)}), device)
    return {"table_UM": made["table_UM"]}, made["dy"], row_N, offsets_E1


def pooling(row_N: Tensor, offsets_E1: Tensor | None, implementation: str) -> Callable[..., Tensor]:
    return lambda table_UM: pooled_rows(table_UM, row_N, offsets_E1, implementation)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CASES)
def test_it_is_as_exact_as_plain_pytorch(
    name: str, kind: torch.dtype, device: torch.device
) -> None:
    table, dy, row_N, offsets_E1 = asked(name, device)
    table, dy = as_type(table, kind), dy.to(kind)
    plain = pooling(row_N, offsets_E1, "reference")
    exact = results(plain, as_type(table, torch.float64), dy.double())
    found = results(pooling(row_N, offsets_E1, "triton"), table, dy)
    assert not too_far(found, results(plain, table, dy), exact)
    assert {x.dtype for x in found.values()} == {kind}


def test_the_reference_is_what_loops_give() -> None:
    table, _, row_N, offsets_E1 = asked("bags", torch.device("cpu"))
    assert offsets_E1 is not None
    table_UM, ends = table["table_UM"], offsets_E1.tolist()
    bags = [row_N[begin:end] for begin, end in pairwise(ends)]
    means = [sum((table_UM[row] for row in bag), torch.zeros(8)) / max(len(bag), 1) for bag in bags]
    torch.testing.assert_close(pooled_rows(table_UM, row_N, offsets_E1), torch.stack(means))


def test_sums_have_one_order(device: torch.device) -> None:
    table, dy, row_N, _ = asked("one row, often", device)
    found, again = (results(pooling(row_N, None, "triton"), table, dy) for _ in range(2))
    assert all(torch.equal(found[name], again[name]) for name in found)


@pytest.mark.parametrize("wrong", ["the next row", "a sum", "another first row"])
def test_the_check_fails_what_is_broken(wrong: str) -> None:
    table, dy, row_N, offsets_E1 = asked("bags", torch.device("cpu"))
    assert offsets_E1 is not None
    exact = results(pooling(row_N, offsets_E1, "reference"), as_type(table, torch.float64), dy)
    right = results(pooling(row_N, offsets_E1, "reference"), table, dy)
    first = torch.tensor([0])
    moved = {"the next row": (row_N + 1) % 9, "another first row": row_N.index_fill(0, first, 0)}
    found = results(pooling(moved.get(wrong, row_N), offsets_E1, "reference"), table, dy)
    if wrong == "a sum":
        found = {name: x * 3 for name, x in found.items()}
    assert too_far(found, right, exact).keys() == exact.keys()


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"table and rows are \(3,\) and \(2,\), not"):
        pooled_rows(torch.zeros(3), torch.zeros(2, dtype=torch.int64))
