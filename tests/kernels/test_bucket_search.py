"""The search in Triton against plain PyTorch's and a dict, in tables with long ways to go."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.bucket_search import NO_ID, find_rows, find_slots, place_rows_
from kernels.hashing import hashed

KEY = 5


def filled(ids: list[int], buckets: int, slots: int) -> tuple[Tensor, Tensor]:
    """A table that holds these ids, put in one by one."""
    table = torch.full((buckets, slots), NO_ID)
    passed = torch.zeros(buckets, dtype=torch.int32)
    for number in ids:
        bucket = int(hashed(KEY, torch.tensor(number))) & (buckets - 1)
        while bool((table[bucket] != NO_ID).all()):
            passed[bucket] += 1
            bucket = (bucket + 1) & (buckets - 1)
        table[bucket, int((table[bucket] == NO_ID).nonzero()[0])] = number
    return table, passed


IDS = st.lists(st.integers(-(2**63) + 1, 2**63 - 1), unique=True, max_size=28)


@settings(max_examples=20)
@given(IDS, IDS, st.sampled_from([(16, 2), (4, 8)]))
def test_ids_are_found_where_they_stand(
    held: list[int], others: list[int], shape: tuple[int, int]
) -> None:
    table, passed = filled(held, *shape)
    wanted = torch.tensor([*held, *others, *held[:3]], dtype=torch.int64)
    is_held = torch.isin(wanted, torch.tensor(held, dtype=torch.int64))
    for implementation in ("reference", "triton"):
        slot = found(wanted, table, passed, implementation)
        assert torch.equal(slot >= 0, is_held)
        assert torch.equal(table.view(-1)[slot[is_held]], wanted[is_held])


def found(wanted: Tensor, table: Tensor, passed: Tensor, implementation: str) -> Tensor:
    """Where the ids stand, as a GPU says if there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tensors = (wanted.to(device), table.to(device), passed.to(device))
    return find_slots(*tensors, KEY, implementation).cpu()


@settings(max_examples=20)
@given(IDS, IDS, st.sampled_from([(16, 2), (4, 8), (64, 1)]))
def test_ids_that_are_put_in_are_found_with_their_rows(
    held: list[int], others: list[int], shape: tuple[int, int]
) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ids = torch.tensor(held, dtype=torch.int64, device=device)
    wanted = torch.tensor([*others, *held], dtype=torch.int64, device=device)
    right = [1_000 + held.index(x) if x in held else -1 for x in wanted.tolist()]
    for implementation in ("reference", "triton"):
        table, passed = (x.to(device) for x in filled([], *shape))
        rows = torch.full_like(table, -1, dtype=torch.int32)
        row = torch.arange(1_000, 1_000 + len(held), device=device)
        for part in (slice(None, 9), slice(9, None)):
            place_rows_(ids[part], row[part], table, rows, passed, KEY, implementation)
        assert sorted(table[table != NO_ID].tolist()) == sorted(held)
        found_rows = find_rows(wanted, table, rows, passed, KEY, implementation)
        assert found_rows.tolist() == right
        # Each id has passed all buckets between its home and its own, and no others were counted.
        assert torch.equal(passed.cpu(), filled(held, *shape)[1])


def test_a_search_ends_where_no_id_went_past() -> None:
    table, passed = filled(list(range(100, 112)), 8, 2)
    wanted, none_passed = torch.arange(100, 112), torch.zeros_like(passed)
    slot = found(wanted, table, none_passed, "triton")
    assert torch.equal(slot, found(wanted, table, none_passed, "reference"))
    assert bool((slot < 0).any())
    assert bool((found(wanted, table, passed, "triton") >= 0).all())


def test_another_word_is_refused() -> None:
    table, passed = filled([1], 2, 2)
    with pytest.raises(ValueError, match="implementation is 'cuda', not"):
        find_slots(torch.tensor([1]), table, passed, KEY, "cuda")
