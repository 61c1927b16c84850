"""The state of a reader: what it adds up, how it is kept, and what it does not fit."""

import json

import numpy as np
import pytest
import torch

from model.reader.progress import After, Erasure, Place, Progress
from model.reader.seen import Seen, ids_of, user_of, users_of
from model.reader.state import ReaderState
from schemas.failures import UsageError


def seen(*names: str, end: int = 5) -> Seen:
    return Seen(ids_of(names), users_of(names), np.full(len(names), end))


def progress(lane: int = 0, lanes: int = 2, **more: object) -> Progress:
    return Progress(lane, lanes, 4, **more)  # type: ignore[arg-type]


def state_of(*parts: Progress) -> ReaderState:
    state = ReaderState()
    for part in parts:
        state.advance(part)
    return state


ERASURE = Erasure(user_of("b"), 5, 100)
PARTS = [
    progress(places={0: Place(3, 2, 9)}, seen={100: seen("a", "b", "c")}, counts={"rows": 3}),
    progress(
        places={2: Place(1, 0, 8)}, erasures=(ERASURE,), seen={100: seen("d")}, counts={"rows": 1}
    ),
    progress(lane=1, places={1: Place(7, 0, 3)}, after=None, seen={200: seen("e", end=-3)}),
]


def test_progress_adds_up() -> None:
    state = state_of(*PARTS)
    lane = state.lane(0, 2)
    assert lane.places == {0: Place(3, 2, 9), 2: Place(1, 0, 8)}
    assert lane.window.has(ids_of("abcde")).tolist() == [True, False, True, True, False]
    assert lane.erased == {user_of("b"): ERASURE}
    assert state.offsets() == {0: 3, 1: 7, 2: 1}
    assert state.counts() == {"rows": 4, "void": 0, "replays": 0, "left_out": 0, "lost": 0}


def test_progress_joined_adds_up_to_the_same() -> None:
    joined = state_of(Progress.joined(PARTS[:2]), PARTS[2])
    assert written(joined) == written(state_of(*PARTS))


def test_an_erasure_is_of_what_came_before_it() -> None:
    """By then it may be forgotten, or the same session may end later."""
    later = Seen(ids_of("x"), users_of("b"), np.array([5]))
    parts = [*PARTS[:2], progress(seen={100: later})]
    for state in (state_of(*parts), state_of(Progress.joined(parts))):
        there = state.lane(0, 2).window.has(ids_of("abx"))
        assert there.tolist() == [True, False, True]


def written(state: ReaderState) -> tuple[str, dict[str, list[object]]]:
    tensors = {name: tensor.tolist() for name, tensor in state.to_tensors().items()}
    return json.dumps(state.to_json()), tensors


def test_a_state_is_kept_as_json_and_tensors() -> None:
    state = state_of(*PARTS, progress(lane=1, after=After(3, "x")))
    tensors = state.to_tensors()
    assert all(tensor.dtype == torch.int64 for tensor in tensors.values())
    again = ReaderState.of(json.loads(json.dumps(state.to_json())), tensors)
    assert written(again) == written(state)
    assert again.lane(1, 2).after == After(3, "x")
    assert again.lane(0, 2).window.has(ids_of("abcd")).tolist() == [True, False, True, True]
    again.advance(progress(oldest=100))
    assert again.lane(0, 2).erased == {user_of("b"): ERASURE}
    again.advance(progress(oldest=101))
    assert not again.lane(0, 2).window.has(ids_of("abcd")).any()
    assert again.lane(0, 2).erased == {}


def test_an_empty_state_is_kept_too() -> None:
    again = ReaderState.of(ReaderState().to_json(), ReaderState().to_tensors())
    assert written(again) == written(ReaderState())
    bare = state_of(progress(places={0: Place(1)}))
    assert written(ReaderState.of(bare.to_json(), bare.to_tensors())) == written(bare)


def test_states_of_several_ranks_are_one() -> None:
    one, other = state_of(*PARTS[:2]), state_of(PARTS[2])
    assert written(ReaderState.joined([one, ReaderState(), other])) == written(state_of(*PARTS))
    with pytest.raises(UsageError, match="of 2 and of 3 lanes"):
        ReaderState.joined([one, state_of(progress(lanes=3))])


def test_the_later_erasure_counts_and_the_later_time() -> None:
    late, kept, gone = (Erasure(user_of("b"), 3, 200), Erasure(1, 1, 150), Erasure(2, 1, 149))
    state = state_of(*PARTS[:2], progress(erasures=(late, kept, gone), oldest=150))
    assert state.lane(0, 2).erased == {late.user: Erasure(late.user, 5, 200), 1: kept}


def test_a_copy_of_a_lane_goes_its_own_way() -> None:
    state = state_of(*PARTS)
    before = written(state)
    lane = state.lane(0, 2)
    lane.advance(progress(places={0: Place(9)}, seen={100: seen("z")}, counts={"rows": 1}))
    lane.advance(progress(erasures=(Erasure(user_of("a"), 9, 0),), oldest=999))
    assert written(state) == before


def test_another_number_of_lanes_is_refused() -> None:
    with pytest.raises(UsageError, match="among 2 lanes, not 3: go on with 2"):
        state_of(*PARTS).lane(0, 3)
    with pytest.raises(UsageError, match="progress of 3 lanes; this state is of 2"):
        state_of(*PARTS, progress(lanes=3))


def test_batches_from_elsewhere_say_nothing() -> None:
    state = ReaderState()
    state.advance(None)
    assert state.lanes == 0
