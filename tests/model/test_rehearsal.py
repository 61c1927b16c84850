"""What is kept of a stream to be learned again, and what is drawn of it."""

from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.batch import SequenceBatch
from model.config import TrainConfig
from model.reader.progress import Erasure, Progress
from model.reader.rows import batch_of
from model.reader.seen import user_of
from model.rehearsal import Memory, Rehearsal
from tests.model.reader.support import SPEC, rows, sequence
from tests.model.test_batch import parts

CAME = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 5)), min_size=1, max_size=5)


def batch_with(came: Sequence[tuple[str, int]], number: int, *erasures: Erasure) -> SequenceBatch:
    """One sequence for each user and number of contents, all that end at a time."""
    made = [
        sequence(user, 10 * number + place, contents, place % 3, number)
        for place, (user, contents) in enumerate(came)
    ]
    return batch_of([rows(made)], Progress(0, 1, erasures=erasures))


def all_of(memory: Memory) -> dict[str, object]:
    """By user what is kept, in plain values; drawn as more tokens than there are."""
    drawn = memory.drawn(10**6, 0) if len(memory) else []
    return {each.users[0]: (each.sequence_ids, parts(each)) for each in drawn}


@given(st.lists(CAME, min_size=1, max_size=6), st.integers(1, 7), st.data())
def test_the_newest_of_the_last_users_is_kept(
    stream: list[list[tuple[str, int]]], users: int, data: st.DataObject
) -> None:
    memory, oracle = Memory(users), dict[str, tuple[int, object]]()
    for number, came in enumerate(stream):
        erased = data.draw(st.dictionaries(st.sampled_from("abcdef"), st.integers(-1, 6)))
        ends = {
            user: int(sequence(user, 0, end=until)["session_end"]) for user, until in erased.items()
        }
        batch = batch_with(came, number, *(Erasure(user_of(u), end, 0) for u, end in ends.items()))
        memory.add(batch)
        oracle = {u: kept for u, kept in oracle.items() if u not in erased or kept[0] > erased[u]}
        for place, (user, _) in enumerate(came):
            oracle.pop(user, None)
            oracle[user] = (number, ((batch.sequence_ids[place],), [parts(batch)[place]]))
        oracle = dict(list(oracle.items())[-users:])
        assert all_of(memory) == {user: kept for user, (_, kept) in oracle.items()}


@given(st.lists(CAME, min_size=1, max_size=4))
def test_a_checkpoint_has_all_that_is_kept_in_its_order(
    stream: list[list[tuple[str, int]]],
) -> None:
    memory, again, smaller = Memory(9), Memory(9), Memory(2)
    for number, came in enumerate(stream):
        memory.add(batch_with(came, number))
    part = memory.part(SPEC.categories)
    for each in (again, smaller):
        each.load(part, SPEC.categories)
    assert all_of(again) == all_of(memory)
    last = list(memory._newest)[-2:]
    assert {user_of(user) for user in all_of(smaller)} == set(last)
    assert [s.users for s in again.drawn(9, 5)] == [s.users for s in memory.drawn(9, 5)]
    empty = Memory(2)
    empty.load(Memory(2).part(SPEC.categories), SPEC.categories)
    assert len(empty) == 0


def test_draws_are_even_of_different_users_and_as_large_as_asked_for() -> None:
    memory = Memory(100)
    memory.add(batch_with([(f"user-{n}", 1 + n % 7) for n in range(100)], 0))
    mean = sum(each.tokens for each in memory.drawn(10**6, 0)) / 100
    found = Counter[str]()
    for key in range(400):
        drawn = memory.drawn(round(20 * mean), key)
        assert len({each.users for each in drawn}) == len(drawn) == 20
        found.update(each.users[0] for each in drawn)
    assert len(found) == 100
    assert all(80 - 5 * 8 < count < 80 + 5 * 8 for count in found.values())  # five deviations
    assert len(memory.drawn(1, 0)) == 1


def test_a_lane_learns_again_of_its_own_what_it_was_given() -> None:
    settings = {"rehearsal": {"users": 8, "updates": 3}, "seed": 3}
    config = TrainConfig.model_validate(settings)
    both, alone = Rehearsal.of(config, 2, [0, 1]), Rehearsal.of(config, 2, [1])
    first = batch_with([(f"a{n}", 2) for n in range(8)], 0)
    second = batch_with([(f"b{n}", 3) for n in range(8)], 0)
    for step in range(4):
        found = list(both.again({0: first, 1: second}, step))
        right = list(alone.again({1: second}, step))
        assert len(found) == 3
        for some, own in zip(found, right, strict=True):
            assert [s.users[0][0] for s in some] == ["a"] * 4 + ["b"] * 4
            assert [s.users for s in some[4:]] == [s.users for s in own]
    assert len({tuple(sorted(s.users[0] for s in some)) for some in found}) == 1  # all four users
    assert list(both.again({}, 9)) == [[], [], []]
    assert not list(Rehearsal.of(TrainConfig(), 2, [0, 1]).again({0: first}, 0))


def test_every_step_update_and_lane_has_a_draw_of_its_own() -> None:
    config = TrainConfig.model_validate({"rehearsal": {"users": 80, "updates": 3}})
    made = Rehearsal.of(config, 2, [0, 1])
    came = batch_with([(f"user-{n}", 2) for n in range(40)], 0)
    few = batch_with([("user-0", 2), ("user-1", 2), ("user-2", 2)], 1)
    list(made.again({0: came, 1: came}, 0))
    drawn = [
        tuple(sorted(each.users[0] for each in made.memories[lane].drawn(few.tokens, 0)))
        for lane in (0, 1)
    ]
    assert drawn[0] == drawn[1]  # the memories are alike, so what differs below are the keys
    found = [
        tuple(each.users[0] for each in part)
        for step in range(4)
        for some in made.again({0: few, 1: few}, step)
        for part in (some[:3], some[3:])
    ]
    assert len(set(found)) == len(found) == 4 * 3 * 2


@pytest.mark.parametrize(("later", "left"), [(-1, 2), (0, 1), (1, 1)])
def test_an_erasure_is_of_what_ended_by_its_time(later: int, left: int) -> None:
    memory = Memory(9)
    batch = batch_with([("a", 1), ("b", 1)], 5)
    memory.add(batch)
    memory.erase([Erasure(user_of("a"), int(batch.session_end_B[0]) + later, 0)])
    assert len(memory) == left


def test_what_is_kept_holds_no_batch_in_memory() -> None:
    memory = Memory(1)
    batch = batch_with([("a", 2), ("b", 3)], 0)
    memory.add(batch)
    (kept,) = memory.drawn(1, 0)
    batch.id_T.zero_()
    assert kept.users == ("b",)
    assert bool((kept.id_T[kept.type_T == 0] > 0).all())
    assert kept.progress is None
    assert torch.equal(kept.offsets_B1, torch.tensor([0, kept.tokens]))
