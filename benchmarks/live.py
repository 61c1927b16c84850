"""Events as they happen, at a steady rate, in Arrow messages of a tenth of a second."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from kafka_client.clients import Connection, producer
from kafka_client.topics import create_topics

GAP_S, HORIZON_S = 10, 2
CONTENTS, BETWEEN_S, CYCLE_S = 8, 0.5, 48.0
"""A user engages with so many contents, so far apart, and comes back after the cycle."""

PARTITIONS = 4
SLICE_S = 0.1


def spec() -> dict[str, Any]:
    """The spec of the events."""
    views = {
        "format": "arrow",
        "user": "user_id",
        "time": "ts",
        "event_id": "event_id",
        "item": "item_id",
        "actions": {"always": ["VIEW"]},
        "features": {"country": {"field": "country"}},
    }
    return {
        "version": 1,
        "name": "live",
        "sources": {"views": views},
        "actions": ["VIEW"],
        "features": {"country": "scalar"},
        "session": {"gap": f"{GAP_S}s"},
        "horizon": f"{HORIZON_S}s",
        "watermark": {"idle": "10s"},
        "history": {"contents": 64},
    }


class Live:
    """Sends about `rate` events a second while `sending`."""

    def __init__(self, bootstrap: str, spec_file: Path, rate: int) -> None:
        self._connection = Connection(bootstrap)
        self._users = int(rate * CYCLE_S / CONTENTS)
        self._wanted = rate
        self._sent, self._took = 0, 1.0
        self._stop = threading.Event()
        spec_file.write_text(json.dumps(spec()))
        create_topics(self._connection, {"views": PARTITIONS})

    @property
    def rate(self) -> float:
        """Events a second that were sent."""
        return self._sent / self._took

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Sends in a thread until the block ends."""
        thread = threading.Thread(target=self._send, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(30)

    def _send(self) -> None:
        begun = at = time.time()
        with closing(producer(self._connection, compression=None, linger_ms=0)) as client:
            while not self._stop.is_set():
                time.sleep(max(at + SLICE_S - time.time(), 0))
                for partition, part in enumerate(self._split(self._events(at, at + SLICE_S))):
                    client.send("views", _stream(part), partition=partition)
                    self._sent += part.num_rows
                at += SLICE_S
                self._took = time.time() - begun

    def _events(self, since: float, until: float) -> pa.RecordBatch:
        """The events of [since, until): user u begins its cycle at its own share of one."""
        phase = np.arange(self._users) / self._users * CYCLE_S
        first = (phase[:, None] + np.arange(CONTENTS) * BETWEEN_S) % CYCLE_S
        cycle = np.floor((since - first) / CYCLE_S) + 1
        when = first + cycle * CYCLE_S
        when = np.where(when - CYCLE_S >= since, when - CYCLE_S, when)
        user, number = np.nonzero((when >= since) & (when < until))
        time_ms = (when[user, number] * 1000).astype(np.int64)
        order = np.argsort(time_ms, kind="stable")
        user, time_ms = user[order], time_ms[order]
        return pa.RecordBatch.from_pydict(
            {
                "event_id": pa.array([f"{u}-{t}" for u, t in zip(user, time_ms, strict=True)]),
                "user_id": pa.array([f"user-{u}" for u in user]),
                "ts": pa.array(time_ms),
                "item_id": pa.array(1 + (user * 7919 + time_ms) % 100_000),
                "country": pa.array([f"country-{u % 40}" for u in user]),
            }
        )

    def _split(self, events: pa.RecordBatch) -> list[pa.RecordBatch]:
        number = np.arange(events.num_rows) % PARTITIONS
        return [events.take(pa.array(np.flatnonzero(number == p))) for p in range(PARTITIONS)]


def latencies(batches: Iterable[tuple[pa.RecordBatch, float]]) -> list[float]:
    """Seconds from a session's completion, its end + G + L, to its sequence being there."""
    waits: list[float] = []
    for batch, at in batches:
        ends = np.asarray(batch["session_end"].cast(pa.int64())) / 1000 + GAP_S + HORIZON_S
        waits.extend((at - ends).tolist())
    return waits


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())
