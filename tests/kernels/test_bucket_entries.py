import pytest
import torch
from torch import Tensor

from kernels.bucket_entries import MOST, bucket_entries
from kernels.bucket_entries_triton import AT_ONCE, SHARES
from tests.kernels.precision import relative_error

SHAPES = [(0,), (1,), (7, 3), (AT_ONCE,), (3, AT_ONCE + 1)]


def both(table_C: Tensor, bucket_N: Tensor, dentry_N: Tensor, how: str) -> list[Tensor]:
    """The entries, and the gradient of the table."""
    leaf = table_C.detach().requires_grad_()
    entry_N = bucket_entries(leaf, bucket_N, how)
    return [entry_N.detach(), *torch.autograd.grad(entry_N, leaf, dentry_N)]


def drawn(shape: tuple[int, ...], entries: int, device: torch.device) -> tuple[Tensor, ...]:
    chance = torch.Generator().manual_seed(len(shape) + entries)
    bucket_N = torch.randint(entries, shape, generator=chance)
    table_C, dentry_N = torch.randn(entries), torch.randn(shape, generator=chance)
    return table_C.to(device), bucket_N.to(device), dentry_N.to(device)


@pytest.mark.parametrize("entries", [1, 2, 96, MOST])
@pytest.mark.parametrize("shape", SHAPES)
def test_entries_and_sums_are_those_of_float64(
    shape: tuple[int, ...], entries: int, device: torch.device
) -> None:
    table_C, bucket_N, dentry_N = drawn(shape, entries, device)
    found = both(table_C, bucket_N, dentry_N, "triton")
    exact = both(table_C.double(), bucket_N, dentry_N.double(), "reference")
    assert torch.equal(found[0].double(), exact[0])
    if bucket_N.numel():
        assert relative_error(found[1], exact[1]) < 1e-5
    else:
        assert not found[1].any()


def test_more_than_all_shares_take_at_a_time(device: torch.device) -> None:
    table_C, bucket_N, dentry_N = drawn((SHARES * AT_ONCE + 5,), 2, device)
    found = both(table_C, bucket_N, torch.ones_like(dentry_N), "triton")[1]
    assert found.tolist() == [float((bucket_N == bucket).sum()) for bucket in range(2)]


def test_a_sum_that_leaves_one_out_is_seen(device: torch.device) -> None:
    table_C, bucket_N, dentry_N = drawn((7, 3), 5, device)
    found = both(
        table_C, bucket_N, dentry_N.index_fill(1, torch.tensor(2, device=device), 0), "triton"
    )[1]
    exact = both(table_C.double(), bucket_N, dentry_N.double(), "reference")[1]
    assert relative_error(found, exact) > 1e-2


def test_a_table_that_is_too_large(device: torch.device) -> None:
    table_C, bucket_N = torch.zeros(MOST + 1, device=device), torch.tensor([MOST], device=device)
    assert bucket_entries(table_C, bucket_N).tolist() == [0.0]
    with pytest.raises(ValueError, match="a table has 257 entries; Triton's kernel takes 256"):
        bucket_entries(table_C, bucket_N, "triton")
