"""Sequences: one row for each completed session (docs/semantics.md, Columns)."""

import pyarrow as pa

from schemas.spec import Spec

VERSION = "1"

CONTENT, ACTION, FIRST_FEATURE = 0, 1, 2
"""The token types: a content, an action set, and the first feature of the spec."""

MS = pa.timestamp("ms", "UTC")

FIXED = [
    pa.field("user_id", pa.string()),
    pa.field("sequence_id", pa.string()),
    pa.field("session_start", MS),
    pa.field("session_end", MS),
    pa.field("token_type", pa.list_(pa.int16())),
    pa.field("token_id", pa.list_(pa.int64())),
    pa.field("token_time", pa.list_(MS)),
    pa.field("contents", pa.int32()),
    pa.field("new_contents", pa.int32()),
    pa.field("raw_tokens", pa.int64()),
    pa.field("spec", pa.string()),
]


def sequence_schema(spec: Spec) -> pa.Schema:
    """The schema of the sequences of a spec."""
    lists = pa.list_(pa.list_(pa.int64()))
    categories = [pa.field(f"category_{name}", lists) for name in spec.categories]
    return pa.schema(FIXED + categories, {"phia-schema": VERSION})
