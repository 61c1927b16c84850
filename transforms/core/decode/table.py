"""S1 on columns: what many records of one source observe, as far as that is certain.

The same as `record.observe` on each; a test holds the two against each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
import xxhash

from schemas.ids import HASHED, canonical_json
from schemas.observations import IDS
from schemas.spec import ActionField, ActionFlags, Match, ScalarField, SetDelta
from transforms.core.arrays import Bools, Ints, ints, is_first, sums_before, valid
from transforms.core.decode.column import Column
from transforms.core.decode.fields import Field, field_of
from transforms.core.decode.plan import Plan, texts_of
from transforms.core.decode.record import Names
from transforms.core.decode.times import times_ms

_EXACT = 1 << 53  # up to which a float holds every integer


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
    columns |= {"user": fields[plan.source.user].column.texts, "time": pa.array(time)}
    columns |= {"end": pa.array(ends)}

    place = np.flatnonzero(~odd & ~filtered)
    rows = _table(columns, plan, n).take(place)
    names = _used(names, rows)
    return Mapped(rows, place, int(filtered.sum()), np.flatnonzero(odd & ~filtered), names)


def _matches(fields: dict[str, Field], match: Match | None, odd: Bools) -> Bools:
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


def _lengths(strings: pa.Array) -> Ints:
    return np.asarray(pc.fill_null(pc.binary_length(strings), 0)).astype(np.int64)


def _columns(
    fields: dict[str, Field], plan: Plan, n: int, odd: Bools
) -> tuple[dict[str, pa.Array], Names]:
    names: Names = {}
    columns = _identity(fields, plan, n, odd)
    columns |= dict(_engagement(fields, plan, n, odd, names))
    columns |= dict(_features(fields, plan, odd, names))
    return columns, names


def _identity(fields: dict[str, Field], plan: Plan, n: int, odd: Bools) -> dict[str, pa.Array]:
    content = _content(fields, plan)
    event_id = _event_id(fields, plan, n, odd)
    absent = ~valid(event_id)
    if not absent.any():
        return {"event_id": event_id, "content": content}
    hashes = [
        xxhash.xxh3_128_hexdigest(text)
        for text in content.filter(pa.array(absent)).cast(pa.binary()).to_pylist()
    ]
    event_id = pc.replace_with_mask(event_id, pa.array(absent), pa.array(hashes, pa.string()))
    return {"event_id": event_id, "content": pc.if_else(pa.array(absent), None, content)}


def _content(fields: dict[str, Field], plan: Plan) -> pa.Array:
    """[n] the canonical content (S2); of odd records it may err."""
    paths = [path for path, _ in plan.content_fields]
    if all(fields[path].present.all() for path in paths):
        return _joined(fields, paths)
    pairs = [
        pc.binary_join_element_wise(canonical_json(path) + ":", fields[path].json, "")
        for path in paths
    ]
    # Where it has nothing to join, Arrow leaves out the row itself.
    nothing = ~np.logical_or.reduce([valid(pair) for pair in pairs])
    if nothing.any():
        pairs[0] = pc.if_else(pa.array(nothing), "", pairs[0])
    inner = pc.binary_join_element_wise(*pairs, ",", null_handling="skip")
    return pc.binary_join_element_wise("{", inner, "}", "")


def _joined(fields: dict[str, Field], paths: list[str]) -> pa.Array:
    """The same where no field is null: all texts, and what stands between them, in one go."""
    parts: list[Any] = []
    before = "{"
    for path in paths:
        texts, quote = fields[path].json_in_quotes()
        parts += [f"{before}{canonical_json(path)}:{quote}", texts]
        before = f"{quote},"
    return pc.binary_join_element_wise(*parts, before[:-1] + "}", "")


def _event_id(fields: dict[str, Field], plan: Plan, n: int, odd: Bools) -> pa.Array:
    paths = plan.event_id_fields
    if not paths:
        return pa.nulls(n, pa.string())
    for path in paths:
        if fields[path].lists is not None:
            odd |= fields[path].present
    if isinstance(plan.source.event_id, str):
        only = fields[paths[0]]
        return only.column.texts if only.lists is None else pa.nulls(n, pa.string())
    parts = [pc.fill_null(fields[path].json, "null") for path in paths]
    listed = pc.binary_join_element_wise("[", pc.binary_join_element_wise(*parts, ","), "]", "")
    some = np.logical_or.reduce([fields[path].present for path in paths])
    return pc.if_else(pa.array(some), listed, None)


def _engagement(
    fields: dict[str, Field], plan: Plan, n: int, odd: Bools, names: Names
) -> Iterator[tuple[str, pa.Array]]:
    source = plan.source
    if source.item is None:
        return
    item = fields[source.item]
    engages = item.present
    if item.lists is not None:
        odd |= engages
        return
    yield "item", _ids(item.column, "item", names)
    mask, unsure = _actions(fields, plan, n)
    odd |= engages & unsure
    yield "actions", pa.array(np.where(engages, mask, 0))
    for name, path in source.categories.items():
        yield f"category:{name}", _category(fields[path], name, engages, odd, names)


def _ids(column: Column, kind: str, names: Names) -> pa.Array:
    ids, texts = column.ids()
    names |= {(kind, number): text for number, text in texts.items()}
    return pa.array(ids, mask=~column.present)


def _actions(fields: dict[str, Field], plan: Plan, n: int) -> tuple[Ints, Bools]:
    """[n] the masks of the actions, and where they are not certain."""
    actions = plan.source.actions
    mask, unsure = np.full(n, plan.always()), np.zeros(n, bool)
    if isinstance(actions, ActionField):
        column, row = fields[actions.field].values()
        texts = [*plan.bits, *sorted(plan.no_actions - plan.bits.keys())]
        bits = [0 if text in plan.no_actions else plan.bits[text] for text in texts]
        code = np.asarray(
            pc.fill_null(pc.index_in(column.texts, value_set=pa.array(texts, pa.string())), -1)
        )
        np.bitwise_or.at(mask, row, np.array([*bits, 0])[code])
        unsure[row[code < 0]] = True
    elif isinstance(actions, ActionFlags):
        for action, path in actions.flags.items():
            is_set, certain = _flags(fields[path])
            mask |= np.where(is_set, plan.bits[action], 0)
            unsure |= ~certain
    return mask, unsure


def _flags(field: Field) -> tuple[Bools, Bools]:
    values = field.column.values
    if field.lists is not None or pt.is_string(values.type):
        return np.zeros(len(field.present), bool), ~field.present
    return np.asarray(values.fill_null(False if pt.is_boolean(values.type) else 0)) != 0, np.ones(
        len(values), bool
    )


def _category(field: Field, name: str, engages: Bools, odd: Bools, names: Names) -> pa.Array:
    """The category ids of each content; a record that names one twice needs a closer look."""
    column, row = field.values()
    ids, texts = column.ids()
    names |= {(f"category:{name}", number): text for number, text in texts.items()}
    if field.lists is not None:
        order = np.lexsort((ids, row))
        twice = row[order][~is_first(row[order], ids[order])]
        odd[twice] |= engages[twice]
    kept = engages[row]
    counts = np.bincount(row[kept], minlength=len(engages))
    offsets = pa.array(sums_before(counts), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(ids[kept]))


def _features(
    fields: dict[str, Field], plan: Plan, odd: Bools, names: Names
) -> Iterator[tuple[str, pa.Array]]:
    for name, field in plan.source.features.items():
        kind = f"feature:{name}"
        if isinstance(field, ScalarField):
            yield f"scalar:{name}", _scalar(fields[field.field], field, kind, odd, names)
        elif isinstance(field, SetDelta):
            for part, path in (("add", field.add), ("remove", field.remove)):
                if path is not None:
                    yield f"{part}:{name}", _set(fields[path], kind, names)
        else:
            yield f"snapshot:{name}", _set(fields[field.snapshot], kind, names)


def _scalar(field: Field, how: ScalarField, kind: str, odd: Bools, names: Names) -> pa.Array:
    if field.lists is not None:
        odd |= field.present
        ids = pa.nulls(len(odd), pa.int64())
    elif how.bins is None:
        ids = _ids(field.column, kind, names)
    else:
        ids = _binned(field.column, how.bins, odd)
    return pc.fill_null(ids, 0) if how.nulls == "value" else ids


def _binned(column: Column, edges: tuple[float, ...], odd: Bools) -> pa.Array:
    kind = column.values.type
    if pt.is_string(kind) or pt.is_boolean(kind):  # numeric text, or nothing that has bins
        odd |= column.present
        return pa.nulls(len(odd), pa.int64())
    if pt.is_int64(kind):
        number = ints(column.values)
        odd |= (number > _EXACT) | (number < -_EXACT)
    numbers = np.asarray(column.values.fill_null(0)).astype(np.float64)
    bins = 1 + np.searchsorted(np.array(edges), numbers, side="right")
    return pa.array(bins.astype(np.int64), mask=~column.present)


def _set(field: Field, kind: str, names: Names) -> pa.Array:
    """The ids that a set observation names, repeats and all; null where it is none."""
    column, _ = field.values()
    ids, texts = column.ids()
    names |= {(kind, number): text for number, text in texts.items()}
    offsets = pa.array(sums_before(field.lengths), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, pa.array(ids))
    return pc.if_else(pa.array(field.present), lists, pa.scalar(None, IDS))


def _used(names: Names, rows: pa.Table) -> Names:
    """The texts of ids that the rows have, without those of records that are not among them."""
    used: dict[str, set[int]] = {}
    for column in rows.column_names:
        kind = _kind(column)
        if kind:
            values = rows[column].combine_chunks()
            ids = ints(values.flatten() if pt.is_list(values.type) else values)
            used.setdefault(kind, set()).update(np.unique(ids[ids >= HASHED]).tolist())
    return {key: text for key, text in names.items() if key[1] in used[key[0]]}


def _kind(column: str) -> str | None:
    """The dictionary's kind of the ids in a column, None for what has no ids."""
    if column == "item":
        return column
    part, colon, name = column.partition(":")
    if not colon:
        return None
    return f"category:{name}" if part == "category" else f"feature:{name}"


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
