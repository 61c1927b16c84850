"""S1 on columns: what many records of one source observe, as far as that is certain.

The same as `record.observe` on each; a test holds the two against each other.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from schemas.spec import Match
from transforms.core.arrays import Bools, Ints, valid
from transforms.core.decode.engagement_columns import engagement_columns
from transforms.core.decode.feature_columns import feature_columns
from transforms.core.decode.fields import Field, Fields, field_of
from transforms.core.decode.identity_columns import identity_columns
from transforms.core.decode.names import used_names
from transforms.core.decode.plan import Plan, texts_of
from transforms.core.decode.record import Names
from transforms.core.decode.times import times_ms


@dataclass(frozen=True, slots=True)
class Mapped:
    """The certain rows [k] of a table, with their places in it; how many the filter left out; the
    places of the doubtful ones; and texts of hashed ids."""

    rows: pa.Table
    place: Ints
    filtered: int
    doubtful: Ints
    names: Names


def observe_table(table: pa.Table, plan: Plan, timestamp: Ints | None) -> Mapped:
    """What the records of a table observe. `timestamp` [n] is Kafka's, ms."""
    fields = {path: field_of(table, keys) for path, keys in plan.fields.items()}
    n = table.num_rows
    odd = np.zeros(n, bool)
    ends = _matches(fields, plan.source.end, odd)
    passes = np.ones(n, bool)
    if plan.source.where:
        passes = _matches(fields, plan.source.where, odd) | ends
    filtered = ~passes & ~odd

    time, certain = _times(fields[plan.source.time.field], plan)
    odd |= ~certain | _odd_users(fields[plan.source.user])
    if timestamp is not None:
        odd |= time > timestamp + plan.spec.watermark.skew
    for path, _ in plan.content_fields:
        odd |= fields[path].doubtful
    columns, names = _columns(fields, plan, n, odd)
    columns |= {"user": _users(fields[plan.source.user]), "time": pa.array(time)}
    columns |= {"end": pa.array(ends)}

    place = np.flatnonzero(~odd & ~filtered)
    rows = _table(columns, plan, n)
    if len(place) < n:
        rows = rows.take(place)
    names = used_names(names, rows)
    return Mapped(rows, place, int(filtered.sum()), np.flatnonzero(odd & ~filtered), names)


def _matches(fields: Fields, match: Match | None, odd: Bools) -> Bools:
    """Where a field has one of the values; marks what is not certain as odd."""
    if match is None:
        return np.zeros(len(odd), bool)
    field = fields[match.field]
    odd |= field.doubtful
    column, row = field.values()
    hit = np.asarray(pc.is_in(column.texts, pa.array(sorted(texts_of(match)), pa.string())))
    found = np.zeros(len(odd), bool)
    found[row[hit]] = True
    return found


def _times(field: Field, plan: Plan) -> tuple[Ints, Bools]:
    if field.lists is None:
        return times_ms(field.column, plan.source.time.unit)
    return np.zeros(len(field.lists), np.int64), np.zeros(len(field.lists), bool)


def _odd_users(user: Field) -> Bools:
    values = user.column.values
    if user.lists is not None or pt.is_boolean(values.type):
        return np.ones(len(user.present), bool)
    odd = ~valid(values)
    if pt.is_floating(values.type):  # 7.0 is the integer 7
        number = np.asarray(values.fill_null(0.5))
        odd |= np.floor(number) != number
    if pt.is_string(values.type):
        odd |= _lengths(values) == 0
    return odd


def _users(user: Field) -> pa.Array:
    if user.lists is None:
        return user.column.texts
    return pa.nulls(len(user.lists), pa.string())  # a list is no user: all are odd


def _lengths(strings: pa.Array) -> Ints:
    return np.asarray(pc.fill_null(pc.binary_length(strings), 0)).astype(np.int64)


def _columns(fields: Fields, plan: Plan, n: int, odd: Bools) -> tuple[dict[str, pa.Array], Names]:
    names: Names = {}
    columns = identity_columns(fields, plan, n, odd)
    columns |= dict(engagement_columns(fields, plan, n, odd, names))
    columns |= dict(feature_columns(fields, plan, odd, names))
    return columns, names


def _table(columns: dict[str, pa.Array], plan: Plan, n: int) -> pa.Table:
    """All columns of an arrival; what the source does not observe is null, or nothing."""
    false, empty = pa.array(np.zeros(n, bool)), _empty_lists(n)
    constant = {
        "source": pa.array(np.full(n, plan.number, np.int16)),
        "actions": pa.array(np.zeros(n, np.int64)),
        "end": false,
        "erase": pa.array(np.full(n, plan.source.erase)),
        "joined": false,
    }
    constant |= {f"category:{name}": empty for name in plan.spec.categories}
    every = constant | columns
    schema = plan.schema
    arrays = [every.get(f.name, pa.nulls(n, f.type)) for f in schema]
    return pa.table(arrays, schema=schema)


def _empty_lists(n: int) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.zeros(n + 1), pa.int32()), pa.array([], pa.int64()))
