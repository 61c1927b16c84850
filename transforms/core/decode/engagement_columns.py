"""S1 on columns: the engagements of many records, their actions and their categories."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from schemas.spec import ActionField, ActionFlags
from transforms.core.arrays import Bools, Ints, is_first, sums_before
from transforms.core.decode.fields import Field, Fields
from transforms.core.decode.names import ids_of
from transforms.core.decode.plan import Plan
from transforms.core.decode.record import Names


def engagement_columns(
    fields: Fields, plan: Plan, n: int, odd: Bools, names: Names
) -> Iterator[tuple[str, pa.Array]]:
    """The columns `item`, `actions` and `category:NAME`; marks what is not certain as odd, which
    is looked at only where there is an item."""
    source = plan.source
    if source.item is None:
        return
    item = fields[source.item]
    engages = item.present
    if item.lists is not None:
        odd |= engages
        return
    yield "item", ids_of(item.column, "item", names)
    mask, unsure = _actions(fields, plan, n)
    odd |= engages & unsure
    yield "actions", pa.array(np.where(engages, mask, 0))
    for name, path in source.categories.items():
        yield f"category:{name}", _category(fields[path], name, engages, odd, names)


def _actions(fields: Fields, plan: Plan, n: int) -> tuple[Ints, Bools]:
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
