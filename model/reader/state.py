"""Where reading stands after the last batch that was used, to be kept with the model."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.reader.progress import After, Erasure, Place, Progress
from model.reader.seen import ID, Ints, ReplayWindow, Seen
from schemas.failures import UsageError

COUNTS = ("rows", "void", "replays", "left_out", "lost")


class LaneState:
    """What was used of one lane; the attributes are those of `Progress`, summed up.

    `erased` has the erasure of each user (by hash) whose sequences may still come again.
    """

    def __init__(self) -> None:
        self.partitions = 0
        self.places: dict[int, Place] = {}
        self.after: After | None = None
        self.window = ReplayWindow()
        self.erased: dict[int, Erasure] = {}
        self.counts: Counter[str] = Counter()

    def copy(self) -> "LaneState":
        """One that goes its own way."""
        other = LaneState()
        other.partitions, other.after = self.partitions, self.after
        other.places, other.erased = dict(self.places), dict(self.erased)
        other.window, other.counts = self.window.copy(), Counter(self.counts)
        return other

    def advance(self, progress: Progress) -> None:
        """Adds what a batch has used."""
        self.partitions = progress.partitions
        self.places.update(progress.places)
        self.after = progress.after
        self.counts.update(progress.counts)
        for erasure in progress.erasures:
            self._erase(erasure)
        for generation, seen in progress.seen.items():
            self.window.add(generation, seen)
        self.forget(progress.oldest)

    def forget(self, oldest: int) -> None:
        """Drops what came in generations before one."""
        self.window.forget(oldest)
        if any(erasure.generation < oldest for erasure in self.erased.values()):
            self.erased = {u: e for u, e in self.erased.items() if e.generation >= oldest}

    def _erase(self, erasure: Erasure) -> None:
        self.window.erase(erasure.user, erasure.until)
        held = self.erased.get(erasure.user, erasure)
        self.erased[erasure.user] = erasure._replace(until=max(erasure.until, held.until))


class ReaderState:
    """Where reading stands, of one lane or several.

    Call `advance(batch.progress)` when a batch was trained on, and give the state to a dataset as
    `start`: it goes on with the very next sequence. A state is saved as `to_json()` and
    `to_tensors()`, without names of users or sequences, of which it keeps hashes.
    """

    def __init__(self, lanes: int = 0) -> None:
        self.lanes = lanes
        self._states: dict[int, LaneState] = {}

    def advance(self, progress: Progress | None) -> None:
        """Adds what a batch has used. Raises UsageError where it is of another number of lanes."""
        if progress is None:
            return
        if self.lanes not in (0, progress.lanes):
            raise UsageError(f"progress of {progress.lanes} lanes; this state is of {self.lanes}")
        self.lanes = progress.lanes
        self._states.setdefault(progress.lane, LaneState()).advance(progress)

    def lane(self, lane: int, lanes: int) -> LaneState:
        """A copy of one lane's state, from which a dataset begins. Raises UsageError where the
        input was shared among another number of lanes."""
        if self.lanes not in (0, lanes):
            raise UsageError(
                f"the saved state shares the input among {self.lanes} lanes, not {lanes}: "
                f"go on with {self.lanes}"
            )
        return self._states.get(lane, LaneState()).copy()

    def offsets(self) -> dict[int, int]:
        """The next offset of each Kafka partition, for monitoring."""
        return {
            partition: place.offset
            for state in self._states.values()
            for partition, place in sorted(state.places.items())
        }

    def counts(self) -> dict[str, int]:
        """How many `rows` came so far, and of these what was not trained on: `void` by an
        erasure, `replays`, `left_out` by the hook `choose`; and how many messages were `lost`."""
        return {name: sum(s.counts[name] for s in self._states.values()) for name in COUNTS}

    @classmethod
    def joined(cls, states: Iterable["ReaderState"]) -> "ReaderState":
        """The lanes of several states, such as those of all ranks, as one."""
        joined = cls()
        for state in states:
            if 0 not in (joined.lanes, state.lanes) and joined.lanes != state.lanes:
                raise UsageError(f"states of {joined.lanes} and of {state.lanes} lanes")
            joined.lanes = state.lanes or joined.lanes
            joined._states |= state._states
        return joined

    def only(self, lanes: Iterable[int]) -> "ReaderState":
        """The same of some of the lanes, such as those of one rank."""
        part = ReaderState(self.lanes)
        part._states = {lane: self._states[lane] for lane in lanes if lane in self._states}
        return part

    def to_json(self) -> dict[str, Any]:
        """All but what `to_tensors` has, as values that JSON has."""
        return {
            "lanes": self.lanes,
            "lane": {
                str(lane): {
                    "partitions": state.partitions,
                    "places": {str(p): list(place) for p, place in state.places.items()},
                    "after": state.after and list(state.after),
                    "counts": dict(state.counts),
                }
                for lane, state in self._states.items()
            },
        }

    def to_tensors(self) -> dict[str, Tensor]:
        """The replay windows and erasures, int64: `LANE.seen` [N, 5] has the id's hash in two
        parts, the user's, the end and the generation; `LANE.erased` [N, 3] is as `Erasure`."""
        found = {}
        for lane, state in self._states.items():
            found[f"{lane}.seen"] = torch.from_numpy(_table_of(state.window))
            erased = np.array([*state.erased.values()], np.int64).reshape(-1, 3)
            found[f"{lane}.erased"] = torch.from_numpy(erased)
        return found

    @classmethod
    def of(cls, written: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "ReaderState":
        """The state that `to_json` and `to_tensors` have said."""
        state = cls(int(written["lanes"]))
        for lane, said in written["lane"].items():
            found = state._states[int(lane)] = LaneState()
            found.partitions = said["partitions"]
            found.places = {int(p): Place(*place) for p, place in said["places"].items()}
            found.after = After(*said["after"]) if said["after"] else None
            found.counts = Counter(said["counts"])
            found.window = _window_of(tensors[f"{lane}.seen"].numpy())
            rows = tensors[f"{lane}.erased"].tolist()
            found.erased = {user: Erasure(user, until, time) for user, until, time in rows}
        return state


def _table_of(window: ReplayWindow) -> Ints:
    """[N, 5]: the sequences of a window as numbers."""
    tables = [np.empty((0, 5), np.int64)]
    for generation, seen in window.generations():
        ids = np.ascontiguousarray(seen.ids).view(np.int64).reshape(-1, 2)
        times = np.full(len(seen), generation)
        tables.append(np.column_stack([ids, seen.users, seen.ends, times]))
    return np.concatenate(tables)


def _window_of(table_N5: Ints) -> ReplayWindow:
    window = ReplayWindow()
    for generation in np.unique(table_N5[:, 4]).tolist():
        rows = table_N5[table_N5[:, 4] == generation]
        ids = np.ascontiguousarray(rows[:, :2]).view(ID).reshape(-1)
        window.add(generation, Seen(ids, rows[:, 2], rows[:, 3]))
    return window
