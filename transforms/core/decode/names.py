"""Ids of columns, and the texts that the dictionary needs to read them back."""

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from schemas.ids import HASHED
from transforms.core.arrays import ints
from transforms.core.decode.column import Column
from transforms.core.decode.record import Names


def ids_of(column: Column, kind: str, names: Names) -> pa.Array:
    """[n] the ids of a column, null where it has none; adds texts of hashes to `names`."""
    ids, texts = column.ids()
    names |= {(kind, number): text for number, text in texts.items()}
    return pa.array(ids, mask=~column.present)


def used_names(names: Names, rows: pa.Table) -> Names:
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
