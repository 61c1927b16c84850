"""S2 on columns: the event ids of many records, and their canonical content."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import canonical_json, content_id
from transforms.core.arrays import Bools, valid
from transforms.core.decode.fields import Fields
from transforms.core.decode.plan import Plan


def identity_columns(fields: Fields, plan: Plan, n: int, odd: Bools) -> dict[str, pa.Array]:
    """The columns `event_id`, and `content` where copies may differ in it; marks records whose
    event id is not certain as odd."""
    content = _content(fields, plan)
    event_id = _event_id(fields, plan, n, odd)
    absent = ~valid(event_id)
    if not absent.any():
        return {"event_id": event_id, "content": content}
    hashes = [content_id(text) for text in content.filter(pa.array(absent)).to_pylist()]
    event_id = pc.replace_with_mask(event_id, pa.array(absent), pa.array(hashes, pa.string()))
    return {"event_id": event_id, "content": pc.if_else(pa.array(absent), None, content)}


def _content(fields: Fields, plan: Plan) -> pa.Array:
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


def _joined(fields: Fields, paths: list[str]) -> pa.Array:
    """The same where no field is null: all texts, and what stands between them, in one go.

    A field that is there may have no JSON yet, as a list with a null in it: such a record is odd.
    """
    parts: list[Any] = []
    before = "{"
    for path in paths:
        texts, quote = fields[path].json_in_quotes()
        parts += [f"{before}{canonical_json(path)}:{quote}", texts]
        before = f"{quote},"
    joined = pc.binary_join_element_wise(*parts, before[:-1] + "}", "")
    return joined if joined.null_count == 0 else pc.fill_null(joined, "")


def _event_id(fields: Fields, plan: Plan, n: int, odd: Bools) -> pa.Array:
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
