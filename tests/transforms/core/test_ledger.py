"""What a shard knows of its users between two firings."""

import numpy as np
import pyarrow as pa

from transforms.core.archive import CELLS, Sizes
from transforms.core.entries import Entries
from transforms.core.ledger import (
    UNSEEN,
    Standing,
    empty_ledger,
    forgotten_before,
    rewritten,
    rows_of,
    standing_at,
)
from transforms.core.shard import Held

NOTHING = np.empty(0, np.int64)


def standing(*last: int) -> Standing:
    """Of n users: slots 10 on, one entry more for each."""
    n = len(last)
    life = np.repeat(np.arange(n), np.arange(n))
    k = np.arange(len(life))
    entries = Entries(life, k, k % 2 + 2, -k, 100 + k)
    return Standing(np.arange(10, 10 + n), np.arange(n), 7 * np.arange(n), np.array(last), entries)


def same(one: Standing, other: Standing) -> bool:
    columns = ("slot", "contents", "raw", "last")
    inner = ("life", "at", "kind", "id", "time")
    return all(np.array_equal(getattr(one, c), getattr(other, c)) for c in columns) and all(
        np.array_equal(getattr(one.entries, c), getattr(other.entries, c)) for c in inner
    )


def test_what_is_written_is_read() -> None:
    users = pa.array(["a", "b", "é"])
    ledger = rewritten(empty_ledger(), NOTHING, users, standing(5, 6, 7))
    assert rows_of(ledger, users).tolist() == [0, 1, 2]
    assert rows_of(ledger, pa.array(["é", "x", "a"])).tolist() == [2, -1, 0]
    assert same(standing_at(ledger, np.array([0, 1, 2])), standing(5, 6, 7))


def test_of_an_unknown_user_nothing_is_held() -> None:
    ledger = rewritten(empty_ledger(), NOTHING, pa.array(["a"]), standing(5))
    for table, row in ((ledger, -1), (empty_ledger(), -1)):
        got = standing_at(table, np.array([row]))
        assert (got.slot[0], got.contents[0], got.raw[0], got.last[0]) == (-1, 0, 0, UNSEEN)
        assert len(got.entries) == 0
    assert rows_of(empty_ledger(), pa.array(["a"])).tolist() == [-1]


def test_rows_are_rewritten_and_others_stay() -> None:
    ledger = rewritten(empty_ledger(), NOTHING, pa.array(["a", "b", "c"]), standing(5, 6, 7))
    ledger = rewritten(ledger, np.array([1, -1]), pa.array(["b"]), standing(9))
    assert ledger["user"].to_pylist() == ["a", "c", "b"]
    assert ledger["last"].to_pylist() == [5, 7, 9]
    assert same(
        standing_at(ledger, np.array([1])).take(np.array([0])), standing_at(ledger, np.array([1]))
    )


def test_taking_some_lives_renumbers_their_entries() -> None:
    some = standing(1, 2, 3, 4).take(np.array([1, 3]))
    assert some.slot.tolist() == [11, 13]
    assert some.entries.life.tolist() == [0, 1, 1, 1]
    assert some.entries.at.tolist() == [0, 3, 4, 5]


def test_s15_users_without_an_observation_since_are_forgotten_but_for_some() -> None:
    ledger = rewritten(empty_ledger(), NOTHING, pa.array(["a", "b", "c"]), standing(4, 5, 3))
    left = forgotten_before(ledger, 5, pa.chunked_array([["c", "z"]]))
    assert left["user"].to_pylist() == ["b", "c"]


def test_what_is_held_goes_through_a_batch() -> None:
    users = pa.array(["a", "b"])
    sizes = Sizes(5, [1] * CELLS, [2] * CELLS)
    held = Held(rewritten(empty_ledger(), NOTHING, users, standing(1, 2)), 9, -77, sizes)
    again = Held.from_batch(held.to_batch())
    assert again.ledger.equals(held.ledger)
    assert (again.next_slot, again.final, again.sizes) == (9, -77, sizes)
    assert Held.from_batch(Held().to_batch()) == Held()
