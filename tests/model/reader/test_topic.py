"""A topic read against an oracle in plain loops, and read on from every batch."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from model.reader.state import ReaderState
from tests.model.reader.support import (
    WINDOW,
    FakeBroker,
    Message,
    Row,
    kept,
    message,
    names,
    plain,
    read,
    sequence,
    served,
    tombstone,
    topic_of,
    user_in,
)
from tests.oracles.shop import T

PARTITIONS = 3

Event = tuple[int, int, Any]
"""A partition, ms since its message before (or to it), and sequences as (user, number), or an
erasure as (user, time)."""

SEQUENCES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=1, max_size=5)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, PARTITIONS - 1),
        st.sampled_from([0, 1, -20, 30, 200]),
        st.one_of(SEQUENCES, SEQUENCES, SEQUENCES, st.tuples(st.integers(0, 1), st.integers(0, 8))),
    ),
    max_size=14,
)


def row_of(partition: int, user: int, number: int) -> Row:
    name = user_in(partition, PARTITIONS, user)
    return sequence(name, number, 1 + number % 3, number % 2, end=number)


def broker_of(events: list[Event]) -> FakeBroker:
    logs: dict[int, list[Message]] = {partition: [] for partition in range(PARTITIONS)}
    at = dict.fromkeys(logs, 0)
    for partition, later, what in events:
        log = logs[partition]
        at[partition] += later
        place = partition, 2 * len(log), at[partition]  # half of the offsets are markers
        if isinstance(what, list):
            log.append(message(*place, [row_of(partition, *each) for each in what]))
        else:
            log.append(tombstone(*place, user_in(partition, PARTITIONS, what[0]), what[1]))
    return FakeBroker(logs)


@dataclass
class Oracle:
    """Batches of lane `lane` of `lanes` as lists of sequence ids, in plain loops."""

    budget: int
    seen: dict[str, tuple[int, str, int]] = field(default_factory=dict)
    erased: dict[str, tuple[int, int]] = field(default_factory=dict)
    filling: list[Row] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)

    def read(self, events: list[Event], lane: int, lanes: int) -> list[list[str]]:
        at = dict.fromkeys(range(PARTITIONS), 0)
        clock = dict.fromkeys(at, -(10**6))
        order = []
        for number, (partition, later, what) in enumerate(events):
            at[partition] += later
            clock[partition] = max(clock[partition], at[partition])
            order.append((clock[partition], partition, number, what))
        for now, partition, _, what in sorted(order, key=lambda each: each[:3]):
            if partition % lanes == lane:
                self._use((T + now) // WINDOW, partition, what)
        self._cut()
        return self.batches

    def _use(self, now: int, partition: int, what: Any) -> None:
        self.seen = {name: each for name, each in self.seen.items() if each[0] >= now - 1}
        self.erased = {user: each for user, each in self.erased.items() if each[0] >= now - 1}
        if isinstance(what, list):
            for each in what:
                self._row(now, row_of(partition, *each))
            return
        user, until = user_in(partition, PARTITIONS, what[0]), T + what[1]
        until_all = max(until, self.erased.get(user, (0, until))[1])
        self.erased[user] = now, until_all
        self.filling = [r for r in self.filling if r["user_id"] != user or r["session_end"] > until]
        self.seen = {
            n: e for n, e in self.seen.items() if e[1] != user or e[2] > until
        }  # fmt: skip

    def _row(self, now: int, row: Row) -> None:
        user, name, end = row["user_id"], row["sequence_id"], row["session_end"]
        if user in self.erased and end <= self.erased[user][1]:
            return
        if name in self.seen:
            return
        self.seen[name] = now, user, end
        tokens = sum(len(each["token_id"]) for each in self.filling)
        if self.filling and tokens + len(row["token_id"]) > self.budget:
            self._cut()
        self.filling.append(row)

    def _cut(self) -> None:
        if self.filling:
            self.batches.append([row["sequence_id"] for row in self.filling])
        self.filling = []


@settings(max_examples=80)
@given(EVENTS, st.integers(1, 20), st.sampled_from([(0, 1), (0, 2), (1, 2)]), st.integers(0, 2))
def test_each_sequence_comes_once_unless_it_is_void(
    events: list[Event], budget: int, lane: tuple[int, int], seed: int
) -> None:
    with served(broker_of(events), seed):
        found = read(topic_of(budget, lane=lane[0], lanes=lane[1]))
    assert [[*batch.sequence_ids] for batch in found] == Oracle(budget).read(events, *lane)


@settings(max_examples=100)
@given(EVENTS, st.integers(1, 20), st.booleans())
def test_read_on_from_every_batch_it_gives_the_same(
    events: list[Event], budget: int, choosy: bool
) -> None:
    choose: dict[str, Any] = {"choose": odd} if choosy else {}
    with served(broker_of(events)):
        whole = read(topic_of(budget, **choose))
        last = ReaderState()
        for batch in whole:
            last.advance(batch.progress)
        state = ReaderState()
        for number, batch in enumerate(whole):
            state.advance(batch.progress)
            rest = read(topic_of(budget, kept(state), **choose))
            assert [*map(plain, rest)] == [*map(plain, whole[number + 1 :])]
            again = kept(state)
            for each in rest:
                again.advance(each.progress)
            assert contents_of(again) == contents_of(last)


def contents_of(state: ReaderState) -> list[Any]:
    return [state.to_json(), *(sorted(map(str, t.tolist())) for t in state.to_tensors().values())]


def odd(batch: pa.RecordBatch) -> pa.RecordBatch:
    """About every second row, shortened to one content with its action."""
    keep = [int(name[-1], 16) % 2 == 1 for name in batch["sequence_id"].to_pylist()]
    rows = batch.filter(pa.array(keep, pa.bool_())).to_pylist()
    for row in rows:
        for column in ("token_type", "token_id", "token_time"):
            row[column] = row[column][-2:]
        row["category_topic"] = row["category_topic"][-1:]
        row["contents"] = row["new_contents"] = 1
    return pa.RecordBatch.from_pylist(rows, batch.schema)


@settings(max_examples=20)
@given(EVENTS)
def test_what_was_left_out_is_counted(events: list[Event]) -> None:
    with served(broker_of(events)):
        state = ReaderState()
        batches = read(topic_of(10, choose=odd))
        for batch in batches:
            state.advance(batch.progress)
    counts = state.counts()
    trained = sum(batch.sequences for batch in batches)
    assert all(batch.type_T.tolist() == [0, 1] * batch.sequences for batch in batches)
    rows = sum(counts[name] for name in ("void", "replays", "left_out")) + trained
    assert counts["rows"] == rows
    assert min(counts.values()) >= 0


def test_workers_of_a_loader_share_a_lane() -> None:
    events: list[Event] = [(n % 3, 1, [(0, n), (1, n)]) for n in range(7)]
    with served(broker_of(events)):
        topic = topic_of(4)
        alone = read(topic)
        loader = DataLoader(topic, batch_size=None, num_workers=2)
        state, shared = ReaderState(), []
        for batch in loader:
            shared.append(batch)
            state.advance(batch.progress)
        assert state.lanes == 2
        assert read(topic_of(4, kept(state), lane=0, lanes=2)) == []
    assert sorted(names(alone)) == sorted(names(shared))
    assert len(names(alone)) == 14
    assert all(isinstance(batch.type_T, torch.Tensor) for batch in shared)
