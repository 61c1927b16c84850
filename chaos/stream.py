"""The records of a live stream, made beforehand by the simulated platform, chunk by chunk.

Kafka's timestamps are the simulation's, so that what is late is in the log and not in the speed at
which it is read. The event time of a chunk passes `SPEED` times as fast as the clock on the wall.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from pipeline.simulate.fates import SOURCES
from pipeline.simulate.messages import messages
from pipeline.simulate.platform import Platform
from pipeline.simulate.producing import KEPT
from pipeline.simulate.records import iso
from pipeline.simulate.stream import arrivals

SPEED = 40
CHUNK_S = 0.25
CHUNK_MS = int(CHUNK_S * 1000) * SPEED
TICKS_EACH = 3
NIGHT_MS = 6 * 3_600_000  # of the platform's first day, in which little happens
CLOSING_MS = 30 * 60_000
TOPICS = tuple(SOURCES)

__all__ = ["KEPT", "TOPICS"]

Header = tuple[str, bytes]
Chunk = list["Record"]
Spoil = Callable[[Chunk, Random], Chunk]
"""What a scenario makes of a chunk."""


@dataclass(frozen=True)
class Record:
    """A record for Kafka: its topic, what it holds, its timestamp (ms); the partition is chosen by
    the key unless it is given."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int
    partition: int | None = None
    headers: tuple[Header, ...] = ()

    def at(self, timestamp: int) -> "Record":
        """The same at another time of arrival."""
        return replace(self, timestamp=timestamp)


def platform_of(seed: int, **numbers: float) -> Platform:
    """A platform whose day is full of short visits: some 100 records a second on the wall."""
    chosen = {"seed": seed, "users": 300, "sessions_a_day": 60.0, "contents": 6.0, "days": 30.0}
    return Platform(**{**chosen, "erasures": 0.0, "late": 0.01, **numbers})  # type: ignore[arg-type]


def chunks(platform: Platform) -> Iterator[tuple[int, Chunk]]:
    """Without end in practice: the event time (ms) at which each chunk ends, and its records.

    The first one is empty: ticks alone go with it, from which on there is a watermark.
    """
    begin = platform.start + NIGHT_MS
    end, chunk = begin, Chunk()
    for part in arrivals(platform):
        for each in messages(part, "json", platform.record_bytes, tombstones=True):
            while each.arrival >= end:
                yield end, chunk
                end, chunk = end + CHUNK_MS, []
            if each.arrival >= begin:
                chunk.append(Record(each.source, each.key, each.value, each.arrival))
    yield end, chunk


def ticks(places: dict[str, list[int]], time: int) -> Chunk:
    """A sound record for each partition, so that the watermark of each is known and goes on."""
    return [
        Record(topic, user.encode(), json.dumps(_tick(topic, user, time)).encode(), time, partition)
        for topic, partitions in places.items()
        for partition in partitions
        for user in [f"tick-{topic}-{partition}"]
    ]


def _tick(topic: str, user: str, time: int) -> dict[str, object]:
    match topic:
        case "views":
            item = {"item_id": "1", "creator_id": "creator-1", "topic_ids": ["music"]}
            return {
                "event_id": f"{user}-{time}",
                "user_id": user,
                "ts": time,
                "kind": "VIEW",
            } | item
        case "reactions":
            at = iso(np.array([time]))[0]
            view = {"view_id": f"{user}-{time}", "kind": "LIKE", "item": "1"}
            return {"uid": user, "at": at, "creator": "creator-1"} | view
        case "profile":
            return {"user_id": user, "ts": time // 1000, "kind": "LANGUAGE", "language": "en"}
        case "sessions":
            return {"user_id": user, "ts": time, "session_id": f"{user}-{time}", "kind": "START"}
    return {"user_id": user, "ts": time}
