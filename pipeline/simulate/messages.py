"""The platform's records as Kafka messages, in order of arrival."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from pipeline.simulate.arrow import stream_of
from pipeline.simulate.fates import ARRIVAL, SOURCES, TEXT_DAMAGES, TIME, USER, has_fate
from pipeline.simulate.files import Form
from pipeline.simulate.stream import Slice
from pipeline.simulate.texts import texts

ROWS = 1_000  # of an Arrow message, at most


@dataclass(frozen=True, slots=True)
class Message:
    """One message to a source's topic: `records` of them, arriving at `arrival` (ms).

    `key` is the user's id; None: the message holds many users. `value` None is a tombstone.
    """

    source: str
    key: bytes | None
    value: bytes | None
    arrival: int
    records: int


def messages(part: Slice, form: Form, record_bytes: int, tombstones: bool) -> Iterator[Message]:
    """The messages of a slice by arrival.

    JSON: one a record. Arrow: one for up to ROWS records of a source, arriving with the last of
    them; a text that is broken as such goes alone, as it is. With `tombstones`, every second
    erasure is a tombstone that carries the time of the erasure instead.
    """
    made: list[Message] = []
    for name, frame in part.frames.items():
        rest = frame
        if tombstones and name == "erasures":
            second = pl.int_range(pl.len()) % 2 == 1
            made += _tombstones(frame.filter(second))
            rest = frame.filter(~second)
        make = _texts if form == "json" else _streams
        made += make(name, rest, record_bytes)
    made.sort(key=lambda message: message.arrival)
    yield from made


def _texts(name: str, frame: pl.DataFrame, record_bytes: int) -> list[Message]:
    users = frame[USER].to_list()
    times = frame[ARRIVAL].to_list()
    lines = texts(frame, SOURCES[name], record_bytes)
    return [
        Message(name, user.encode(), line, time, 1)
        for user, line, time in zip(users, lines, times, strict=True)
    ]


def _streams(name: str, frame: pl.DataFrame, record_bytes: int) -> list[Message]:
    only_text = has_fate(*TEXT_DAMAGES)
    typed = frame.filter(~only_text)
    made = _texts(name, frame.filter(only_text), record_bytes)
    for rows in typed.iter_slices(ROWS):
        if rows.height:
            last = int(rows[ARRIVAL][-1])
            made.append(Message(name, None, stream_of(rows), last, rows.height))
    return made


def _tombstones(frame: pl.DataFrame) -> list[Message]:
    return [
        Message("erasures", user.encode(), None, time, 1)
        for user, time in frame.select(USER, TIME).iter_rows()
    ]
