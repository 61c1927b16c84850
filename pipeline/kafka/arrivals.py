"""A gathered batch of Kafka records: decoded, its late records told apart, its watermark taken."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.decoding import Decoding
from pipeline.files.read import read_message
from pipeline.kafka.merging import Gathered, Record
from pipeline.kafka.reading import split_place
from schemas.fetched import Columns, Damaged, Fetched, Origin, Texts
from schemas.ids import content_id
from schemas.observations import arrival_schema, source_names
from schemas.spec import Spec
from transforms.coders import OBSERVATIONS, Tagged, whole
from transforms.core.arrays import Bools, Ints, ints
from transforms.core.counted_input import marks_of, of_horizons, of_late, of_tombstones
from transforms.core.decode.decoded import Decoded
from transforms.core.decode.plan import Plan
from transforms.core.decode.raw import raw_of
from transforms.core.decode.reject import Reason
from transforms.core.late import BEFORE_ALL, Watermark, is_late, late_rows
from transforms.core.statistics import Counts, as_table
from transforms.measured import now
from transforms.measures import count_late

MESSAGE_ROWS = 50_000


@dataclass
class _Part:
    """Rows of one decoded batch of a source: where it is from, the message of each, its place in
    it, and whose raw bytes."""

    source: str
    origin: Origin
    rows: pa.Table
    message: Ints
    within: Ints
    fetched: Fetched | None  # None: tombstones, which have no value
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

    def forget(self) -> None:
        """To be called where records may come again: see `Decoding.forget`."""
        self._decoding.forget()

    def take(self, gathered: Gathered, watermark: Watermark) -> list[Tagged]:
        """The tagged batches of these records, in the order of arrival; moves the watermark."""
        parts = [part for topic in self._topics(gathered) for part in self._parts(topic, gathered)]
        before = self._before(parts, gathered, watermark)
        out: list[Tagged] = []
        written = now()  # the same for all parts: rows written later tell of another reading
        for part, reached in zip(parts, before, strict=True):
            out += self._tagged(part, reached, watermark.released, written)
        return out

    def _topics(self, gathered: Gathered) -> list[str]:
        return sorted({split_place(place)[0] for place in gathered.places})

    def _parts(self, topic: str, gathered: Gathered) -> Iterator[_Part]:
        """The records of a topic, decoded: JSON all at once, other formats message by message."""
        of = [split_place(place) for place in gathered.places]
        is_mine = np.array([name == topic for name, _ in of], bool)[gathered.which]
        mine = np.flatnonzero(is_mine)
        partition = np.array([number for _, number in of], np.int64)[gathered.which[mine]]
        records = [gathered.records[i] for i in mine.tolist()]
        values = [record.value for record in records]
        dead = np.fromiter((value is None for value in values), bool, len(values))
        if dead.any():
            yield from self._tombstones(topic, records, partition, mine, dead)
        live = np.flatnonzero(~dead)
        if len(live):
            yield from self._live(topic, records, partition, mine, live)

    def _tombstones(
        self, topic: str, records: list[Record], partition: Ints, mine: Ints, dead: Bools
    ) -> Iterator[_Part]:
        users = [
            _user_of(record) if is_dead else None
            for record, is_dead in zip(records, dead.tolist(), strict=True)
        ]
        yield self._erasures(topic, records, partition, mine, users)
        for i in np.flatnonzero(dead).tolist():
            if users[i] is None:
                yield self._decoded(_keyless(topic, records[i], int(partition[i])), mine[i : i + 1])

    def _live(
        self, topic: str, records: list[Record], partition: Ints, mine: Ints, live: Ints
    ) -> Iterator[_Part]:
        if len(live) < len(records):
            records = [records[i] for i in live.tolist()]
        n = len(records)
        offset = np.fromiter((record.offset for record in records), np.int64, n)
        timestamp = np.fromiter((record.timestamp for record in records), np.int64, n)
        values = [record.value or b"" for record in records]
        if self._spec.sources[topic].format == "json":
            origin = Origin(partition=partition[live], offset=offset, timestamp=timestamp)
            yield self._decoded(Texts(topic, values, origin), mine[live])
            return
        places = zip(partition[live].tolist(), offset.tolist(), timestamp.tolist(), strict=True)
        fetched = [
            (batch, number)
            for value, place, number in zip(values, places, mine[live].tolist(), strict=True)
            for batch in self._message(topic, value, *place)
        ]
        for batch, messages in in_large_batches(fetched):
            yield self._decoded(batch, messages)

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
        """`messages` is the message of each record of the batch."""
        decoded, plan = self._decoding.decode(fetched)
        message = messages[decoded.place]
        places = message, decoded.place
        return _Part(plan.name, fetched.origin, decoded.rows, *places, fetched, (decoded, plan))

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
        offset = np.array([records[i].offset for i in which], np.int64)
        origin = Origin(partition=partition[which], offset=offset)
        within = np.zeros(len(which), np.int64)
        return _Part(topic, origin, table, mine[which], within, None, None)

    def _before(self, parts: list[_Part], gathered: Gathered, watermark: Watermark) -> list[Ints]:
        """For each part, the watermark before each of its rows (S3)."""
        arrival = np.maximum.accumulate(gathered.clock)
        watermark.advance(int(arrival[0]))
        if not any(part.rows.num_rows for part in parts):
            watermark.advance(int(arrival[-1]))
            return [np.zeros(0, np.int64) for _ in parts]
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
            gathered.places, gathered.which[by], np.concatenate(moving)[order], arrival[by]
        )
        ends = np.cumsum([len(time) for time in times])[:-1]
        watermark.advance(int(arrival[-1]))
        return np.split(before, ends)

    def _tagged(self, part: _Part, before: Ints, released: int, written: int) -> Iterator[Tagged]:
        """What a part gives to each output; `before` [rows] is the watermark before each, and
        `released` what an earlier job may have released."""
        rows, counts = part.rows, [*self._counts(part, before)]
        behind = is_late(ints(rows["time"]), before, self._spec.horizon, released)
        if behind.any():
            late = _with_raw(rows, part, behind)
            if self._sole:
                rows, late = rows.filter(pa.array(~behind)), late.filter(pa.array(behind))
                count_late(late, self._spec)
                yield "late", whole(late_rows(late, self._spec))
                counts += of_late(late, self._spec, part.origin)
            else:
                rows = late
        if part.decoded is not None:
            decoded, plan = part.decoded
            decoded.rows = rows
            yield from self._decoding.tagged((decoded, plan), counts, written)
            return
        if rows.num_rows:
            yield OBSERVATIONS, whole(rows)
        table = as_table(counts, marks_of(part.source, part.origin), written)
        if table.num_rows:
            yield "statistics", whole(table)

    def _counts(self, part: _Part, before: Ints) -> Iterator[Counts]:
        """What is counted of a part beside what became of its records."""
        if not part.moves:
            yield from of_tombstones(part.rows, part.source, part.origin)
        elif part.rows.num_rows:
            behind = before - ints(part.rows["time"])
            yield from of_horizons(part.rows, behind, part.source, part.origin)


def in_large_batches(fetched: Sequence[tuple[Fetched, int]]) -> Iterator[tuple[Fetched, Ints]]:
    """Batches of messages put together where they have the same columns, in their order; with
    the message of each record. A message of some hundred rows costs as much as one of many."""
    together: list[tuple[Columns, int]] = []
    for batch, message in fetched:
        if together and not _alike(batch, together[0][0]):
            yield _in_one(together)
            together = []
        if isinstance(batch, Columns):
            together.append((batch, message))
        else:
            yield batch, np.array([message])
    if together:
        yield _in_one(together)


def _alike(batch: Fetched, other: Columns) -> bool:
    if not isinstance(batch, Columns) or batch.raw is not None or other.raw is not None:
        return False
    return bool(batch.table.schema.equals(other.table.schema))


def _in_one(together: list[tuple[Columns, int]]) -> tuple[Columns, Ints]:
    batches = [batch for batch, _ in together]
    rows = [batch.table.num_rows for batch in batches]
    messages = np.repeat([message for _, message in together], rows)
    if len(batches) == 1:
        return batches[0], messages
    origins = [batch.origin for batch in batches]
    origin = Origin(
        partition=_joined([origin.partition for origin in origins]),
        offset=_joined([origin.offset for origin in origins]),
        timestamp=_joined([origin.timestamp for origin in origins]),
    )
    return Columns(
        batches[0].source, pa.concat_tables([b.table for b in batches]), origin
    ), messages


def _joined(parts: list[Ints | None]) -> Ints:
    return np.concatenate([part for part in parts if part is not None])


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
    """The rows with the raw bytes of some of them: of a tombstone those of its key, the user."""
    raw: list[bytes | None] = [None] * rows.num_rows
    for i in np.flatnonzero(which).tolist():
        if part.fetched is None:
            raw[i] = rows["user"][i].as_py().encode()
        else:
            raw[i] = raw_of(part.fetched, int(part.within[i]))
    at = rows.schema.get_field_index("raw")
    return rows.set_column(at, rows.schema.field(at), pa.array(raw, pa.binary()))
