"""S1: fetched records decoded: observations, rejects, and counts of what was left out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from schemas.fetched import Columns, Damaged, Fetched, Origin, Texts
from schemas.outputs import REJECTED
from transforms.core.arrays import Ints, ints
from transforms.core.decode.fields import field_of
from transforms.core.decode.json_table import tables_of
from transforms.core.decode.plan import Plan
from transforms.core.decode.raw import raw_of_row
from transforms.core.decode.record import Names, Row, observe
from transforms.core.decode.reject import Reason, Rejected
from transforms.core.decode.sizes import row_bytes
from transforms.core.decode.strict_json import record_of
from transforms.core.decode.table import observe_table
from transforms.core.decode.typed import json_columns, json_records
from transforms.core.decode.values import found


@dataclass
class Decoded:
    """What one batch of a source gave.

    `rows` are of `arrival_schema`, without `raw`; `place` [rows] is where each stands in the
    batch, `time` [rows] its event time; `size` [batch] has the bytes of each record. `rejected`
    are rows of REJECTED, with their places. `dropped` has the places of values of numerical fields
    by path. `damaged` if it was no batch of records.
    """

    rows: pa.Table
    place: Ints
    time: Ints
    origin: Origin
    size: Ints
    rejected: pa.Table
    rejected_place: Ints
    names: Names = field(default_factory=dict)
    filtered: int = 0
    dropped: dict[str, Ints] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    damaged: bool = False


def decoded(fetched: Fetched, plan: Plan) -> Decoded:
    """Decodes one batch of the plan's source."""
    work = _Work(plan)
    if isinstance(fetched, Damaged):
        why = Rejected(Reason(fetched.reason), fetched.detail)
        work.size = np.array([len(fetched.raw)])
        work.reject(fetched.raw, fetched.origin, 0, why)
    elif isinstance(fetched, Columns):
        work.columns(fetched)
    else:
        work.texts(fetched)
    done = work.done(fetched.origin)
    done.damaged = isinstance(fetched, Damaged)
    return done


@dataclass
class _Work:
    """One batch being decoded."""

    plan: Plan
    parts: list[tuple[pa.Table, Ints]] = field(default_factory=list)
    slow: list[tuple[int, Row]] = field(default_factory=list)
    rejects: list[Row] = field(default_factory=list)
    rejected_place: list[int] = field(default_factory=list)
    names: Names = field(default_factory=dict)
    filtered: int = 0
    dropped: dict[str, list[Ints]] = field(default_factory=dict)
    size: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def texts(self, fetched: Texts) -> None:
        """JSON texts: those of a bearable size as tables as far as possible."""
        limit, texts = self.plan.spec.limits.record_bytes, fetched.texts
        sizes = self.size = np.fromiter(map(len, texts), np.int64, len(texts))
        for place in np.flatnonzero(sizes > limit).tolist():
            detail = f"{sizes[place]} bytes; limits.record_bytes allows {limit}"
            self.reject(texts[place], fetched.origin, place, Rejected(Reason.TOO_LARGE, detail))
        self._small_enough(fetched, np.flatnonzero(sizes <= limit))

    def _small_enough(self, fetched: Texts, places: Ints) -> None:
        texts = [fetched.texts[place] for place in places.tolist()]
        read = tables_of(texts, list(self.plan.fields.values()), self.plan.decimal_fields)
        left = [places[read.left_out]]
        for table, rows in read.by_schema():
            doubtful = self._table(table, fetched.origin, places[rows])
            left.append(places[rows[doubtful]])
        self._one_by_one(fetched, np.sort(np.concatenate(left)))

    def columns(self, fetched: Columns) -> None:
        """Columns: as they are, and the doubtful records of them one by one."""
        unit = self.plan.source.time.unit
        table = json_columns(self._looked_at(fetched.table), unit)
        self.size = row_bytes(table)
        doubtful = self._table(table, fetched.origin, np.arange(table.num_rows))
        records = json_records(table.take(doubtful), unit)
        for place, record in zip(doubtful.tolist(), records, strict=True):
            try:
                if isinstance(record, Rejected):
                    raise record
                self._observe(record, fetched.origin, place)
            except Rejected as rejected:
                self.reject(raw_of_row(fetched, place), fetched.origin, place, rejected)

    def _looked_at(self, table: pa.Table) -> pa.Table:
        """The columns with fields that the source names; of a doubled name the last counts."""
        last = {name: place for place, name in enumerate(table.column_names)}
        wanted = {keys[0] for keys in self.plan.fields.values()}
        places = [place for name, place in last.items() if name in wanted]
        return table.select(places) if places else pa.table({"": pa.nulls(table.num_rows)})

    def _table(self, table: pa.Table, origin: Origin, places: Ints) -> Ints:
        """Takes the certain rows of a table and returns the others' indices in it."""
        timestamp = None if origin.timestamp is None else origin.timestamp[places]
        mapped = observe_table(table, self.plan, timestamp)
        self.parts.append((mapped.rows, places[mapped.place]))
        self.names |= mapped.names
        self.filtered += mapped.filtered
        for path in self.plan.source.dropped:
            there = field_of(table, self.plan.fields[path]).present
            self._dropped(path, places[mapped.place[there[mapped.place]]])
        return mapped.doubtful

    def _one_by_one(self, fetched: Texts, places: Ints) -> None:
        for place in places.tolist():
            try:
                self._observe(record_of(fetched.texts[place]), fetched.origin, place)
            except Rejected as rejected:
                self.reject(fetched.texts[place], fetched.origin, place, rejected)

    def _observe(self, record: Row, origin: Origin, place: int) -> None:
        timestamp = None if origin.timestamp is None else int(origin.timestamp[place])
        row = observe(record, self.plan, timestamp, self.names)
        if row is None:
            self.filtered += 1
            return
        self.slow.append((place, row))
        for path in self.plan.source.dropped:
            if found(record, self.plan.fields[path]) is not None:
                self._dropped(path, np.array([place]))

    def _dropped(self, path: str, places: Ints) -> None:
        self.dropped.setdefault(path, []).append(places)

    def reject(self, raw: bytes, origin: Origin, place: int, why: Rejected) -> None:
        """Keeps a rejected record with its reason."""
        self.rejected_place.append(place)
        self.rejects.append(
            {
                "source": self.plan.name,
                "partition": _at(origin.partition, place),
                "offset": _at(origin.offset, place),
                "file": origin.file,
                "line": _at(origin.line, place),
                "raw": raw,
                "reason": str(why.reason),
                "detail": why.detail,
                "event_time": why.event_time,
            }
        )

    def done(self, origin: Origin) -> Decoded:
        """All that the batch gave."""
        rows, place = _in_one(self.parts, self.slow, self.plan)
        return Decoded(
            _placed(rows, origin, place),
            place,
            ints(rows["time"]),
            origin,
            self.size,
            pa.Table.from_pylist(self.rejects, schema=REJECTED),
            np.array(self.rejected_place, np.int64),
            self.names,
            self.filtered,
            {path: np.concatenate(places) for path, places in self.dropped.items()},
            Counter(reject["reason"] for reject in self.rejects),
        )


def _in_one(
    parts: Sequence[tuple[pa.Table, Ints]], slow: Iterable[tuple[int, Row]], plan: Plan
) -> tuple[pa.Table, Ints]:
    """All rows in the order of their places."""
    slow = list(slow)
    tables = [table for table, _ in parts]
    tables.append(pa.Table.from_pylist([row for _, row in slow], schema=plan.schema))
    places = [place for _, place in parts] + [np.array([p for p, _ in slow], np.int64)]
    rows, place = pa.concat_tables(tables), np.concatenate(places)
    if (place[1:] > place[:-1]).all():
        return rows, place
    order = np.argsort(place, kind="stable")
    return rows.take(order), place[order]


def _placed(rows: pa.Table, origin: Origin, place: Ints) -> pa.Table:
    """The rows with their partition and offset, where they came from Kafka."""
    for name, numbers in (("partition", origin.partition), ("offset", origin.offset)):
        if numbers is not None:
            at = rows.schema.get_field_index(name)
            kind = rows.schema.field(at)
            rows = rows.set_column(at, kind, pa.array(numbers[place], kind.type))
    return rows


def _at(numbers: Ints | None, place: int) -> int | None:
    return None if numbers is None else int(numbers[place])
