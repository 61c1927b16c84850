"""Batches by a budget of tokens, against a plain loop."""

from hypothesis import given
from hypothesis import strategies as st

from model.reader.budget import Filling
from model.reader.progress import Erasure
from model.reader.rows import Rows
from model.reader.seen import user_of
from tests.model.reader.support import rows, sequence
from tests.oracles.shop import T

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=12)


def oracle(lengths: list[int], budget: int) -> list[list[int]]:
    batches: list[list[int]] = [[]]
    for length in lengths:
        if batches[-1] and sum(batches[-1]) + length > budget:
            batches.append([])
        batches[-1].append(length)
    return batches


@given(LENGTHS, st.integers(1, 20))
def test_a_batch_takes_rows_until_the_next_has_no_room(contents: list[int], budget: int) -> None:
    there = Rows.of(rows([sequence("u", n, count) for n, count in enumerate(contents)]))
    filling, found, at = Filling(budget), [], 0
    while at < len(there):
        room = filling.room(there.tokens_N[at:])
        if not room:
            found.append(filling.take())
            continue
        filling.add(there.part(at, at + room))
        at += room
    found.append(filling.take())
    sizes = [
        [int(n) * 2 for part in parts for n in part["contents"].to_pylist()] for parts in found
    ]
    assert sizes == oracle([2 * count for count in contents], budget)


def test_an_erasure_makes_room() -> None:
    filling = Filling(10)
    filling.add(Rows.of(rows([sequence("u", 1, 2, end=5), sequence("v", 2, 2, end=5)])))
    filling.add(Rows.of(rows([sequence("u", 3, 1, end=6)])))
    more = Rows.of(rows([sequence("w", 4, 2)])).tokens_N
    assert filling.room(more) == 0
    assert filling.erase(Erasure(user_of("u"), T + 5, 0)) == 1
    assert filling.room(more) == 1
    assert [n for part in filling.take() for n in part["user_id"].to_pylist()] == ["v", "u"]
