"""S1 on columns: the feature observations of many records."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from schemas.observations import IDS
from schemas.spec import ScalarField, SetDelta
from transforms.core.arrays import Bools, sums_before
from transforms.core.decode.column import Column
from transforms.core.decode.fields import Field, Fields
from transforms.core.decode.names import ids_of
from transforms.core.decode.plan import Plan
from transforms.core.decode.record import Names

_EXACT = 1 << 53  # up to which a float holds every integer


def feature_columns(
    fields: Fields, plan: Plan, odd: Bools, names: Names
) -> Iterator[tuple[str, pa.Array]]:
    """The columns of the features; marks what is not certain as odd."""
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
        ids = ids_of(field.column, kind, names)
    else:
        ids = _binned(field.column, how.bins, odd)
    return pc.fill_null(ids, 0) if how.nulls == "value" else ids


def _binned(column: Column, edges: tuple[float, ...], odd: Bools) -> pa.Array:
    kind = column.values.type
    if pt.is_string(kind) or pt.is_boolean(kind):  # numeric text, or nothing that has bins
        odd |= column.present
        return pa.nulls(len(odd), pa.int64())
    # Below 2^53 a number compares with the float nearest to an edge as it does with the edge.
    numbers = np.asarray(column.values.fill_null(0)).astype(np.float64)
    odd |= np.abs(numbers) >= _EXACT
    bins = 1 + np.searchsorted(np.array(edges, np.float64), numbers, side="right")
    return pa.array(bins.astype(np.int64), mask=~column.present)


def _set(field: Field, kind: str, names: Names) -> pa.Array:
    """The ids that a set observation names, repeats and all; null where it is none."""
    column, _ = field.values()
    ids, texts = column.ids()
    names |= {(kind, number): text for number, text in texts.items()}
    offsets = pa.array(sums_before(field.lengths), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, pa.array(ids))
    return pc.if_else(pa.array(field.present), lists, pa.scalar(None, IDS))
