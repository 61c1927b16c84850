"""A gathered batch of Kafka records: decoded, its late records told apart, its watermark taken."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.decoding import Decoding
from pipeline.files.read import read_message
from pipeline.kafka.merging import Record
from pipeline.kafka.reading import Place, split_place
from schemas.fetched import Damaged, Fetched, Origin, Texts
from schemas.ids import content_id
from schemas.observations import arrival_schema, source_names
from schemas.spec import Spec
from transforms.coders import OBSERVATIONS, Tagged, whole
from transforms.core.arrays import Bools, Ints, ints
from transforms.core.decode.decoded import Decoded
from transforms.core.decode.plan import Plan
from transforms.core.decode.raw import raw_of
from transforms.core.decode.reject import Reason
from transforms.core.late import BEFORE_ALL, Watermark, is_late, late_rows
from transforms.core.statistics import as_table, of_late

Gathered = Sequence[tuple[Place, Record]]

MESSAGE_ROWS = 50_000


@dataclass
class _Part:
    """Rows of one decoded batch: the message of each, its place in it, and whose raw bytes."""

    rows: pa.Table
    message: Ints
    within: Ints
    fetched: Fetched | None  # None: tombstones, which have no bytes
    decoded: tuple[Decoded, Plan] | None

    @property
    def moves(self) -> bool:
        """Whether the rows move the watermark: a tombstone's time is Kafka's, not an event's."""
        return self.fetched is not None


class Arrivals:
    """Turns gathered records into tagged batches; `sole` says that no other reader reads along.

    A sole reader's watermark is the job's: it tells late records itself. Among several, what is
    behind the own watermark goes on with its raw bytes, and the shard tells.
    """

    def __init__(self, spec: Spec, sole: bool) -> None:
        self._spec = spec
        self._sole = sole
        self._decoding = Decoding(spec)

    def take(self, gathered: Gathered, watermark: Watermark) -> list[Tagged]:
        """The tagged batches of these records, in the order of arrival; moves the watermark."""
        parts = [part for topic in self._topics(gathered) for part in self._parts(topic, gathered)]
        late = self._late(parts, gathered, watermark)
        out: list[Tagged] = []
        for part, behind in zip(parts, late, strict=True):
            out += self._tagged(part, behind)
        return out

    def _topics(self, gathered: Gathered) -> list[str]:
        return sorted({split_place(place)[0] for place in {place for place, _ in gathered}})

    def _parts(self, topic: str, gathered: Gathered) -> Iterator[_Part]:
        """The records of a topic, decoded: JSON all at once, other formats message by message."""
        of = {place: split_place(place) for place in {place for place, _ in gathered}}
        mine = np.array([i for i, (p, _) in enumerate(gathered) if of[p][0] == topic], np.int64)
        records = [gathered[i][1] for i in mine.tolist()]
        partition = np.array([of[gathered[i][0]][1] for i in mine.tolist()], np.int64)
        dead = np.array([record.value is None for record in records], bool)
        users = [_user_of(record) if record.value is None else None for record in records]
        if dead.any():
            yield self._erasures(topic, records, partition, mine, users)
        for i in np.flatnonzero(dead).tolist():
            if users[i] is None:
                yield self._decoded(_keyless(topic, records[i], int(partition[i])), mine[i : i + 1])
        live = np.flatnonzero(~dead)
        if not len(live):
            return
        numbers = [(records[i].offset, records[i].timestamp) for i in live.tolist()]
        offset, timestamp = np.array(numbers, np.int64).T
        values = [bytes(records[i].value or b"") for i in live.tolist()]
        if self._spec.sources[topic].format == "json":
            origin = Origin(partition=partition[live], offset=offset, timestamp=timestamp)
            yield self._decoded(Texts(topic, values, origin), mine[live])
            return
        for at, value in enumerate(values):
            for fetched in self._message(
                topic, value, int(partition[live[at]]), int(offset[at]), int(timestamp[at])
            ):
                yield self._decoded(fetched, mine[live[at : at + 1]])

    def _message(
        self, topic: str, value: bytes, partition: int, offset: int, timestamp: int
    ) -> list[Fetched]:
        return read_message(
            topic,
            self._spec.sources[topic],
            value,
            partition=partition,
            offset=offset,
            timestamp=timestamp,
            batch_rows=MESSAGE_ROWS,
            record_bytes=self._spec.limits.record_bytes,
            columns=self._decoding.columns(topic),
        )

    def _decoded(self, fetched: Fetched, messages: Ints) -> _Part:
        decoded, plan = self._decoding.decode(fetched)
        one = len(messages) == 1
        message = np.full(len(decoded.place), messages[0]) if one else messages[decoded.place]
        return _Part(decoded.rows, message, decoded.place, fetched, (decoded, plan))

    def _erasures(
        self,
        topic: str,
        records: list[Record],
        partition: Ints,
        mine: Ints,
        users: list[str | None],
    ) -> _Part:
        """S13: tombstones erase the user of their key at their Kafka timestamp."""
        which = [i for i, user in enumerate(users) if user is not None]
        rows: list[dict[str, Any]] = [
            {
                "user": users[i],
                "time": records[i].timestamp,
                "source": source_names(self._spec).index(topic),
                "event_id": content_id("{}"),
                "actions": 0,
                "end": False,
                "erase": True,
                "joined": False,
                "partition": int(partition[i]),
                "offset": records[i].offset,
                **{f"category:{name}": [] for name in self._spec.categories},
            }
            for i in which
        ]
        table = pa.Table.from_pylist(rows, schema=arrival_schema(self._spec))
        return _Part(table, mine[which], np.zeros(len(which), np.int64), None, None)

    def _late(self, parts: list[_Part], gathered: Gathered, watermark: Watermark) -> list[Bools]:
        """For each part, which rows came after their time was released (S3)."""
        if not parts:
            return []
        places = sorted({place for place, _ in gathered})
        number = {place: i for i, place in enumerate(places)}
        which = np.array([number[place] for place, _ in gathered], np.int64)
        arrival = np.array([record.timestamp for _, record in gathered], np.int64)
        message = np.concatenate([part.message for part in parts])
        within = np.concatenate([part.within for part in parts])
        times = [ints(part.rows["time"]) for part in parts]
        moving = [
            t if p.moves else np.full(len(t), BEFORE_ALL) for t, p in zip(times, parts, strict=True)
        ]
        order = np.lexsort((within, message))
        by = message[order]
        before = np.empty(len(order), np.int64)
        before[order] = watermark.before(
            places, which[by], np.concatenate(moving)[order], arrival[by]
        )
        ends = np.cumsum([len(time) for time in times])[:-1]
        late = is_late(np.concatenate(times), before, self._spec.horizon)
        watermark.advance(int(arrival.max()))
        return np.split(late, ends)

    def _tagged(self, part: _Part, behind: Bools) -> Iterator[Tagged]:
        rows = part.rows
        if behind.any():
            late = _with_raw(rows, part, behind)
            if self._sole:
                rows, late = rows.filter(pa.array(~behind)), late.filter(pa.array(behind))
                yield "late", whole(late_rows(late, self._spec))
                yield "statistics", whole(as_table(of_late(late, self._spec)))
            else:
                rows = late
        if part.decoded is None:
            if rows.num_rows:
                yield OBSERVATIONS, whole(rows)
            return
        decoded, plan = part.decoded
        decoded.rows = rows
        yield from self._decoding.tagged((decoded, plan))


def _user_of(tombstone: Record) -> str | None:
    """The user of a tombstone's key, None where it is no text."""
    try:
        return (tombstone.key or b"").decode() or None
    except UnicodeDecodeError:
        return None


def _keyless(topic: str, tombstone: Record, partition: int) -> Damaged:
    where = Origin(partition=np.array([partition]), offset=np.array([tombstone.offset]))
    detail = "a tombstone whose key is no user: must be the user's text in UTF-8"
    return Damaged(topic, tombstone.key or b"", Reason.MISSING_USER, detail, where)


def _with_raw(rows: pa.Table, part: _Part, which: Bools) -> pa.Table:
    """The rows with the raw bytes of some of them."""
    raw: list[bytes | None] = [None] * rows.num_rows
    if part.fetched is not None:
        for i in np.flatnonzero(which).tolist():
            raw[i] = raw_of(part.fetched, int(part.within[i]))
    at = rows.schema.get_field_index("raw")
    return rows.set_column(at, rows.schema.field(at), pa.array(raw, pa.binary()))
