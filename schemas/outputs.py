"""What a run writes beside its sequences: rejected, late, dictionary, statistics, tombstones."""

import pyarrow as pa

from schemas.sequences import MS, sequence_schema
from schemas.spec import Spec

REJECTED = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("partition", pa.int32()),
        pa.field("offset", pa.int64()),
        pa.field("file", pa.string()),
        pa.field("line", pa.int64()),
        pa.field("raw", pa.binary()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("event_time", MS),
    ]
)
LATE = REJECTED

DICTIONARY = pa.schema(
    [
        pa.field("kind", pa.string()),
        pa.field("id", pa.int64()),
        pa.field("text", pa.string()),
    ]
)

STATISTICS = pa.schema(
    [
        pa.field("window_start", MS),
        pa.field("window_end", MS),
        pa.field("measure", pa.string()),
        pa.field("source", pa.string()),
        pa.field("feature", pa.string()),
        pa.field("key", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("sketch", pa.binary()),
        pa.field("sketch_kind", pa.string()),
        pa.field("origin", pa.string()),
        pa.field("position", pa.int64()),
        pa.field("written", pa.timestamp("us", "UTC")),
    ]
)
"""Rows that add up, and sketches that unite; docs/statistics.md lists the measures."""

TOMBSTONES = pa.schema([pa.field("user_id", pa.string()), pa.field("time", MS)])

SEQUENCES = "sequences"


def output_schemas(spec: Spec) -> dict[str, pa.Schema]:
    """The schema of each output by its name, which is also its tag and its folder."""
    return {
        SEQUENCES: sequence_schema(spec),
        "late": LATE,
        "rejected": REJECTED,
        "dictionary": DICTIONARY,
        "statistics": STATISTICS,
        "tombstones": TOMBSTONES,
    }
