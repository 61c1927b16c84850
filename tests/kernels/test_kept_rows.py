"""Keys and values written to their rows, against plain loops; nothing beside them is touched."""

import pytest
import torch
from torch import Tensor

from kernels.kept_rows import keep_rows

SHAPES = [(1, 1, 8, 8), (37, 2, 16, 4), (16, 3, 5, 7), (50, 1, 64, 96), (0, 2, 8, 8)]
"""Tokens, heads, widths of a key and of a value."""

Kept = tuple[Tensor, Tensor]


def given(
    tokens: int, heads: int, width: int, value_width: int, kind: torch.dtype, device: torch.device
) -> tuple[Tensor, Kept, Kept]:
    """Rows in any order, new keys and values as parts of one tensor, and NaN where they go."""
    chance = torch.Generator().manual_seed(tokens)
    row_T = torch.randperm(3 * tokens + 5, generator=chance)[:tokens].to(device)
    both = torch.randn(tokens, 7 + heads * (width + value_width), generator=chance)
    k, v = both.to(device, kind)[:, 7:].split([heads * width, heads * value_width], 1)
    new = (k.unflatten(1, (heads, width)), v.unflatten(1, (heads, value_width)))
    rows = 3 * tokens + 5
    kept = tuple(x.new_full((rows, *x.shape[1:]), torch.nan) for x in new)
    return row_T, (kept[0], kept[1]), new


def by_loops(row_T: Tensor, kept: Kept, new: Kept) -> Kept:
    found = (kept[0].clone(), kept[1].clone())
    for into, what in zip(found, new, strict=True):
        for number, row in enumerate(row_T.tolist()):
            for head in range(what.shape[1]):
                into[row, head] = what[number, head]
    return found


def is_same(one: Kept, other: Kept) -> bool:
    return all(
        torch.equal(x.nan_to_num(9), y.nan_to_num(9)) for x, y in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("implementation", ["reference", "triton"])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_row_is_where_it_belongs_and_no_other_is_touched(
    shape: tuple[int, int, int, int], kind: torch.dtype, implementation: str, device: torch.device
) -> None:
    row_T, kept, new = given(*shape, kind, device)
    right = by_loops(row_T, kept, new)
    keep_rows(*kept, row_T, *new, implementation)
    assert is_same(kept, right)
    if len(row_T):
        wrong = by_loops(row_T + 1, *given(*shape, kind, device)[1:])
        assert not is_same(kept, wrong)


def test_the_row_of_several_has_one_of_them(device: torch.device) -> None:
    _, kept, new = given(40, 2, 8, 4, torch.float32, device)
    keep_rows(*kept, torch.zeros(40, dtype=torch.int64, device=device), *new, "triton")
    assert any(torch.equal(kept[0][0], k) for k in new[0])
    assert any(torch.equal(kept[1][0], v) for v in new[1])
    assert all(x[1:].isnan().all() for x in kept)


def test_what_does_not_go_together_is_refused(device: torch.device) -> None:
    row_T, kept, new = given(4, 2, 8, 4, torch.float32, device)
    with pytest.raises(ValueError, match=r"\(4, 2, 8\).* for 3 rows"):
        keep_rows(*kept, row_T[:3], *new)
    with pytest.raises(
        ValueError, match=r"bfloat16 for 4 rows does not go into .* of torch.float32"
    ):
        keep_rows(*kept, row_T, new[0].bfloat16(), new[1])
    gaps = kept[0].new_zeros(9, 2, 16)[..., :8]
    with pytest.raises(ValueError, match="without gaps"):
        keep_rows(gaps, kept[1], row_T, *new, "triton")
