"""The hash table does what a dict does, however its ids collide, come, go and come again."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.vocabulary.id_table import ABSENT, FEWEST_BUCKETS, NO_ID, SLOTS, IdTable

EXTREMES = (-(2**63) + 1, -1, 0, 1, 2**62, 2**63 - 1)


def colliding(count: int, last: int = 1) -> list[int]:
    """Ids whose search begins in the last buckets of a small table, so that they go around."""
    table = IdTable()
    candidate_N = torch.arange(1, 200_000)
    home_N = table._home(candidate_N)
    return list(map(int, candidate_N[home_N >= FEWEST_BUCKETS - last][:count].tolist()))


CROWD = colliding(40, last=2)
IDS = st.lists(st.sampled_from([*EXTREMES, *CROWD, *range(2, 40)]), unique=True, max_size=60)
OPERATIONS = st.lists(st.tuples(st.sampled_from(["insert", "remove", "find"]), IDS), max_size=40)


@given(OPERATIONS)
@settings(max_examples=150)
def test_it_is_a_dict(operations: list[tuple[str, list[int]]]) -> None:
    table, rows = IdTable(), dict[int, int]()
    for what, ids in operations:
        id_n = torch.tensor(ids, dtype=torch.int64)
        if what == "insert":
            given_rows = dict(zip(ids, table.insert(id_n).tolist(), strict=True))
            assert all(given_rows[one] == rows[one] for one in ids if one in rows)
            rows |= given_rows
        elif what == "remove":
            freed = table.remove(id_n).tolist()
            assert sorted(freed) == sorted(rows.pop(one) for one in ids if one in rows)
        found = table.find(id_n).tolist()
        assert found == [rows.get(one, ABSENT) for one in ids]
        assert len(table) == len(rows) == len(set(rows.values()))
        assert table.taken().tolist() == sorted(rows.values())
        assert all(int(table.id_R[row]) == one for one, row in rows.items())
        assert max(rows.values(), default=-1) < table.rows
    table.remove(torch.tensor(list(rows), dtype=torch.int64))
    assert not table._passed_S.any()
    assert (table._id_SW == NO_ID).all()


def test_it_grows_through_sizes_and_keeps_every_row() -> None:
    table = IdTable()
    id_N = torch.randperm(30_000, generator=torch.Generator().manual_seed(1))
    row_N = torch.cat([table.insert(part) for part in id_N.tensor_split(17)])
    assert torch.equal(table.find(id_N), row_N)
    assert len(table._passed_S) * SLOTS < 30_000 * 4
    assert table.find(torch.tensor([30_000])).tolist() == [ABSENT]


def test_freed_rows_are_given_out_before_new_ones() -> None:
    table = IdTable()
    table.insert(torch.arange(100))
    freed = set(table.remove(torch.arange(0, 100, 2)).tolist())
    again = table.insert(torch.arange(1000, 1060)).tolist()
    assert freed < set(again)
    assert table.rows == 110


def test_it_stays_small_while_ids_come_and_go() -> None:
    table = IdTable()
    for begin in range(0, 100_000, 500):
        table.insert(torch.arange(begin, begin + 500))
        table.remove(torch.arange(begin - 500, begin))
    assert len(table) == 500
    assert table.rows <= 1_000
    assert len(table._passed_S) == 2 * FEWEST_BUCKETS


def test_more_ids_of_one_bucket_than_it_has_slots_go_on_to_the_next() -> None:
    table, ids = IdTable(), torch.tensor(colliding(3 * SLOTS))
    row_n = table.insert(ids)
    assert torch.equal(table.find(ids), row_n)
    assert table._passed_S[[-1, 0]].tolist() == [2 * SLOTS, SLOTS]
    table.remove(ids[:1])
    assert torch.equal(table.find(ids[1:]), row_n[1:])
