"""Sequences, messages and a broker made by hand."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import xxhash
from kafka import TopicPartition
from kafka.errors import OffsetOutOfRangeError

from model.batch import SequenceBatch
from model.reader.state import ReaderState
from model.reader.topic import SequenceTopic
from schemas.codec import encode_batch
from schemas.fingerprint import fingerprint
from schemas.ids import bucket_of
from schemas.sequences import VERSION, sequence_schema
from tests.machine import spec_of
from tests.oracles import shop
from tests.oracles.shop import LIKES, T

SPEC = spec_of(shop.spec_of())
SCHEMA = sequence_schema(SPEC)
FINGERPRINT = fingerprint(SPEC)
URL = "kafka://nowhere:9092/sequences"

Row = dict[str, Any]


def sequence(user: str, number: int, contents: int = 1, features: int = 0, end: int = 0) -> Row:
    """The sequence `number` of a user: its session ends at T + end and has its last content."""
    random = Random(f"{user} {number}")
    tokens = [(LIKES, random.randrange(-9, 9) or 1, T)] * features
    for _ in range(contents):
        tokens += [(0, random.randrange(1, 99), T + end), (1, random.randrange(8), T + end)]
    types, ids, times = zip(*tokens, strict=True)
    return {
        "user_id": user,
        "sequence_id": xxhash.xxh3_128_hexdigest(f"{user} {number}".encode()),
        "session_start": T + end,
        "session_end": T + end,
        "token_type": types,
        "token_id": ids,
        "token_time": times,
        "contents": contents,
        "new_contents": 1 + 2 * (number % 2),
        "raw_tokens": len(tokens),
        "spec": FINGERPRINT,
        "category_topic": [[random.randrange(1, 9)] * (n % 3) for n in range(contents)],
    }


def rows(sequences: Sequence[Row]) -> pa.RecordBatch:
    """Sequences as rows."""
    return pa.RecordBatch.from_pylist(list(sequences), SCHEMA)


@dataclass
class Message:
    """A message as a client gives it; `timestamp` in ms."""

    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


HEADERS = [("phia-spec", FINGERPRINT.encode()), ("phia-schema", VERSION.encode())]


def message(partition: int, offset: int, at: int, sequences: Sequence[Row]) -> Message:
    """A message of sequences that came at T + at."""
    return Message(
        partition, offset, T + at, encode_batch(rows(sequences), "zstd"), None, [*HEADERS]
    )


def tombstone(partition: int, offset: int, at: int, user: str, until: int) -> Message:
    """A tombstone of a user, T + until, that came at T + at."""
    headers = [("phia-time", str(T + until).encode())]
    return Message(partition, offset, T + at, None, user.encode(), headers)


def user_in(partition: int, partitions: int, number: int = 0) -> str:
    """The user `number` of those whose partition this is."""
    names = (f"user-{n}" for n in range(10_000))
    found = (name for name in names if bucket_of(name, partitions) == partition)
    return [name for name, _ in zip(found, range(number + 1), strict=False)][-1]


class FakeClient:
    """A consumer of logs in memory, which gives a few messages of a few partitions at a time."""

    def __init__(self, logs: "FakeBroker", seed: int = 0) -> None:
        self._logs, self._random = logs, Random(seed)
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self.committed: dict[int, int] = {}

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self._positions = dict.fromkeys(places, 0)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._positions[place] = offset

    def position(self, place: TopicPartition) -> int:
        return self._positions[place]

    def pause(self, *places: TopicPartition) -> None:
        self._paused.update(places)

    def resume(self, *places: TopicPartition) -> None:
        self._paused.difference_update(places)

    def beginning_offsets(
        self, places: Sequence[TopicPartition], timeout_ms: int
    ) -> dict[TopicPartition, int]:
        return {place: self._logs.first.get(place.partition, 0) for place in places}

    def end_offsets(
        self, places: Sequence[TopicPartition], timeout_ms: int
    ) -> dict[TopicPartition, int]:
        return {place: self._logs.ends[place.partition] for place in places}

    def poll(self, timeout_ms: int) -> Mapping[TopicPartition, list[Message]]:
        self._logs.tick()
        found = {}
        for place, position in self._positions.items():
            if position < self._logs.first.get(place.partition, 0):
                raise OffsetOutOfRangeError({place: position})
            if place not in self._paused and self._random.random() < 0.6:
                found[place] = self._next(place)
        return {place: messages for place, messages in found.items() if messages}

    def _next(self, place: TopicPartition) -> list[Message]:
        log, position = self._logs.messages[place.partition], self._positions[place]
        ahead = [each for each in log if each.offset >= position]
        some = ahead[: self._random.randrange(1, 4)]
        rest = len(ahead) > len(some)
        end = some[-1].offset + 1 if rest else self._logs.ends[place.partition]
        self._positions[place] = end
        return some

    def commit(self, offsets: Mapping[TopicPartition, Any], timeout_ms: int) -> None:
        self.committed |= {place.partition: each.offset for place, each in offsets.items()}

    def close(self, timeout_ms: int = 0) -> None:
        self._logs.closed += 1


@dataclass
class FakeBroker:
    """The logs of a topic: messages, end offsets, first offsets. `later` come at each poll."""

    messages: dict[int, list[Message]]
    ends: dict[int, int] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    later: list[Message] = field(default_factory=list)
    closed: int = 0

    def __post_init__(self) -> None:
        for partition, log in self.messages.items():
            self.ends.setdefault(partition, log[-1].offset + 1 if log else 0)

    def tick(self) -> None:
        """One of those that come later comes."""
        if self.later:
            each = self.later.pop(0)
            self.messages[each.partition].append(each)
            self.ends[each.partition] = each.offset + 1


@contextmanager
def served(broker: FakeBroker, seed: int = 0) -> Iterator[FakeClient]:
    """Has readers of topics read this broker; gives the client that they all get."""
    client = FakeClient(broker, seed)
    firsts = {partition: broker.first.get(partition, 0) for partition in broker.messages}
    with (
        patch("model.reader.topic.consumer", lambda *_, **__: client),
        patch("model.reader.topic.end_offsets", lambda *_: dict(broker.ends)),
        patch("model.reader.topic.beginning_offsets", lambda *_: dict(firsts)),
    ):
        yield client


Plain = tuple[list[str], list[tuple[int, int, int]], list[int]]


def plain(batch: SequenceBatch) -> Plain:
    """What of a batch is compared: ids, tokens, offsets."""
    columns = (batch.type_T.tolist(), batch.id_T.tolist(), batch.time_T.tolist())
    tokens = list(zip(*columns, strict=True))
    return list(batch.sequence_ids), tokens, batch.offsets_B1.tolist()


WINDOW = 50
"""The replay window of `topic_of`, ms."""


def topic_of(budget: int, start: ReaderState | None = None, **more: Any) -> SequenceTopic:
    more = {"until_latest": True, "replay_window": WINDOW, **more}
    return SequenceTopic(URL, SPEC, tokens=budget, start=start, **more)


def read(topic: SequenceTopic) -> list[SequenceBatch]:
    return [batch for batch in topic if batch is not None]


def kept(state: ReaderState) -> ReaderState:
    """The state as it is after it was saved and loaded."""
    return ReaderState.of(json.loads(json.dumps(state.to_json())), state.to_tensors())


def names(batches: list[SequenceBatch]) -> list[str]:
    return [name for batch in batches for name in batch.sequence_ids]
