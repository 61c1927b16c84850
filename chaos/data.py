"""Records that are strange in themselves: what a scenario makes of each chunk."""

import json
from collections import deque
from random import Random

from chaos.stream import Chunk, Header, Record, Spoil

AHEAD_MS = 2 * 3_600_000
BEHIND = 8  # chunks: two seconds, 80 s of event time
POISON: tuple[tuple[bytes, tuple[Header, ...]], ...] = (
    (b"\xff\xfe\x00\x80", ()),
    (b"", ()),
    (b"null", (("", b""),)),
    (b"[" * 5_000, ()),
    (b'{"user_id": "a', (("phia-spec", b"\xff" * 1_000),)),
    (b'{"kind": "VIEW", "user_id": "a", "ts": NaN}', (("x", b"1"), ("x", b"2"))),
    (b'{"kind": "VIEW", "user_id": {"id": 1}, "ts": 1e400}', ()),
    (b'{"kind": "VIEW", "user_id": "a", "ts": 1, "note": "' + b"x" * 900_000 + b'"}', ()),
)


def sound() -> Spoil:
    """As the platform made them, which has faults enough."""
    return lambda chunk, random: chunk


def poisoned() -> Spoil:
    """With records that nothing can be made of, in all topics."""

    def spoil(chunk: Chunk, random: Random) -> Chunk:
        if not chunk:
            return chunk
        last, (value, headers) = chunk[-1], random.choice(POISON)
        whole = Record(last.topic, last.key, value, last.timestamp, None, headers)
        keyless = Record(last.topic, b"\xff", None, last.timestamp)
        return [*chunk, whole, *([keyless] if random.random() < 0.1 else [])]

    return spoil


def ahead() -> Spoil:
    """With records whose event time lies further ahead than the clock skew allows."""

    def spoil(chunk: Chunk, random: Random) -> Chunk:
        views = [record for record in chunk if record.topic == "views" and record.value]
        return [*chunk, *map(_ahead, views[:1])]

    return spoil


def _ahead(view: Record) -> Record:
    value: dict[str, object] = {
        "event_id": "ahead",
        "user_id": "ahead",
        "kind": "VIEW",
        "item_id": "1",
    }
    value["ts"] = view.timestamp + AHEAD_MS
    return Record(view.topic, view.key, json.dumps(value).encode(), view.timestamp)


def doubled() -> Spoil:
    """Everything comes twice: each chunk again, some time after it, well within the horizon."""
    before: deque[Chunk] = deque([[] for _ in range(BEHIND)])

    def spoil(chunk: Chunk, random: Random) -> Chunk:
        before.append(chunk)
        time = chunk[-1].timestamp if chunk else 0
        again = before.popleft() if chunk else []
        return [*chunk, *(record.at(time) for record in again)]

    return spoil
