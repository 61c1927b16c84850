"""Observations: one row for each accepted record, with all that it observes (S1).

Rows travel from the reader to the shard that orders them, and wait there until they are final.
Beside the fixed columns there is one `category:NAME` for each category, one `scalar:NAME` for each
scalar feature (null: not observed; 0: the value null), and `add:NAME`, `remove:NAME` and
`snapshot:NAME` for each set feature (null: not observed).
"""

import pyarrow as pa

from schemas.spec import Spec

VERSION = "1"

IDS = pa.list_(pa.int64())

FIXED = [
    pa.field("user", pa.string(), nullable=False),
    pa.field("time", pa.int64(), nullable=False),  # event time, ms
    pa.field("source", pa.int16(), nullable=False),  # place among the names, by UTF-8 bytes
    pa.field("event_id", pa.string(), nullable=False),
    pa.field("content", pa.string()),  # canonical content; null where the event_id is its hash
    pa.field("item", pa.int64()),  # null: no engagement
    pa.field("actions", pa.int64(), nullable=False),  # bit mask
    pa.field("end", pa.bool_(), nullable=False),
    pa.field("erase", pa.bool_(), nullable=False),
    pa.field("joined", pa.bool_(), nullable=False),  # its engagement went into an earlier group
]

ARRIVAL = [
    pa.field("partition", pa.int32()),
    pa.field("offset", pa.int64()),
    pa.field("raw", pa.binary()),  # kept only where the row may turn out late
]

SET_PARTS = ("add", "remove", "snapshot")


def source_names(spec: Spec) -> list[str]:
    """The names of the sources in the order of S2; a row's `source` is an index into it."""
    return sorted(spec.sources, key=str.encode)


def feature_columns(spec: Spec) -> list[pa.Field]:
    """The columns of the features, in spec order."""
    fields = []
    for name, feature in spec.features.items():
        if feature.kind == "scalar":
            fields.append(pa.field(f"scalar:{name}", pa.int64()))
        else:
            fields += [pa.field(f"{part}:{name}", IDS) for part in SET_PARTS]
    return fields


def observation_schema(spec: Spec) -> pa.Schema:
    """The schema of waiting observations."""
    categories = [pa.field(f"category:{name}", IDS) for name in spec.categories]
    return pa.schema(FIXED + categories + feature_columns(spec), {"phia-observations": VERSION})


def arrival_schema(spec: Spec) -> pa.Schema:
    """The schema of observations on their way: with where they came from, for the late output."""
    return pa.schema([*observation_schema(spec), *ARRIVAL], {"phia-observations": VERSION})
