"""S6: membership changes."""

from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.compression import apply
from transforms.core.sets import Change, Members, changes_by_delta, changes_by_snapshot

IDS = st.lists(st.integers(1, 6), max_size=5)


def members(*ids: int) -> Members:
    return dict.fromkeys(ids)


def test_s6_removals_then_additions_each_by_ascending_id() -> None:
    now = members(9, 2, 5)
    changes = changes_by_delta(now, [8, 3, 3], [9, 5, 7], 99)
    assert changes == [(-5, False), (-9, False), (3, False), (8, False)]
    assert [*now] == [2, 3, 8]


def test_s6_an_id_both_removed_and_added_is_only_added() -> None:
    now = members(1)
    assert changes_by_delta(now, [1, 2], [1, 2], 99) == [(2, False)]
    assert [*now] == [1, 2]


def test_s6_no_change_nothing_kept() -> None:
    assert changes_by_delta(members(1), [1], [3], 99) == []
    assert changes_by_snapshot(members(1, 2), [2, 1, 1], 99) == []


def test_s6_a_snapshot_is_all_members_and_an_empty_one_nobody() -> None:
    now = members(4, 1)
    assert changes_by_snapshot(now, [4, 2], 99) == [(-1, False), (2, False)]
    assert changes_by_snapshot(now, [], 99) == [(-2, False), (-4, False)]
    assert now == {}


def test_s6_one_too_many_forgets_the_one_added_longest_ago() -> None:
    now = members(5, 1)
    assert changes_by_delta(now, [9], [], 2) == [(9, False), (5, True)]
    assert [*now] == [1, 9]
    assert changes_by_snapshot(now, [1, 2, 3], 2) == [
        (-9, False),
        (2, False),
        (3, False),
        (1, True),
    ]
    assert [*now] == [2, 3]


def test_s6_an_adding_anew_is_the_newest() -> None:
    now = members(1, 2)
    changes_by_delta(now, [], [1], 2)
    changes_by_delta(now, [1], [], 2)
    assert changes_by_delta(now, [3], [], 2) == [(3, False), (2, True)]


@given(st.lists(st.tuples(IDS, IDS, st.booleans()), max_size=6), st.integers(1, 4))
def test_s6_as_a_plain_loop_has_it(
    records: list[tuple[list[int], list[int], bool]], at_most: int
) -> None:
    now, plain = members(), list[int]()
    for add, remove, snapshot in records:
        gone = set(plain) if snapshot else set(remove)
        want = [-member for member in sorted(gone & set(plain) - set(add))]
        want += sorted(set(add) - set(plain))
        changes: list[Change] = (
            changes_by_snapshot(now, add, at_most)
            if snapshot
            else changes_by_delta(now, add, remove, at_most)
        )
        assert [change for change, forgotten in changes if not forgotten] == want
        apply(plain, want, at_most)
        assert [*now] == plain
        assert len(now) <= at_most
