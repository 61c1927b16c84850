"""State that an earlier job wrote, read by the spec of this one: as it is, grown, or refused."""

from functools import cache

import numpy as np
import pyarrow as pa

from schemas.failures import Failure
from schemas.layout import WAY_OUT, refusals, sources_of
from schemas.observations import observation_schema, source_names
from schemas.spec import Spec
from transforms.core.arrays import ints
from transforms.core.lists import empty_lists

_KEY = b"phia-layout"


class StateRefused(Failure):
    """State that another spec wrote, and that this one would read wrongly."""


def marked(batch: pa.RecordBatch, layout: str) -> pa.RecordBatch:
    """A batch of state with the layout that it was written with."""
    metadata = batch.schema.metadata or {}
    return batch.replace_schema_metadata({**metadata, _KEY: layout.encode()})


def check_layout(batch: pa.RecordBatch, layout: str) -> str:
    """The layout that a batch was written with. Raises StateRefused where state of it cannot be
    read as state of `layout`, in one line that names what changed."""
    found = (batch.schema.metadata or {}).get(_KEY)
    if found is None:
        raise StateRefused(f"the state does not say what wrote it; {WAY_OUT}")
    changed = _refusals(found.decode(), layout)
    if changed:
        raise StateRefused(f"the state was written with {'; '.join(changed)}; {WAY_OUT}")
    return str(found.decode())


def grown(batch: pa.RecordBatch, spec: Spec, layout: str) -> pa.RecordBatch:
    """Waiting observations as this spec and its layout would have them: sources have the numbers
    of now, and what the spec gained is not observed in them. Raises StateRefused."""
    found = check_layout(batch, layout)
    schema = observation_schema(spec)
    if found == layout:
        return batch.replace_schema_metadata(schema.metadata)
    columns = [_column(batch, field) for field in schema]
    number = schema.get_field_index("source")
    columns[number] = _renumbered(columns[number], sources_of(found), source_names(spec))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    if field.name in batch.schema.names:
        return batch[field.name]
    if field.name.startswith("category:"):
        return empty_lists(batch.num_rows)
    return pa.nulls(batch.num_rows, field.type)


def _renumbered(column: pa.Array, old: list[str], new: list[str]) -> pa.Array:
    place = np.array([new.index(name) for name in old], np.int64)
    return pa.array(place[ints(column)], pa.int16())


_refusals = cache(refusals)
