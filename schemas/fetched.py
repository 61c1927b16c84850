"""Raw records as a reader fetched them, before anything is known of what they say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where each of n raw records stands: in a file (`file`, `line`) or in a Kafka topic.

    `file` is relative to the input folder; `line` [n] counts from 1 and is the row number where a
    format has no lines. `partition`, `offset` and `timestamp` [n] are Kafka's own, the timestamp in
    ms. What does not apply is None.
    """

    file: str | None = None
    line: Int64s | None = None
    partition: Int64s | None = None
    offset: Int64s | None = None
    timestamp: Int64s | None = None


@dataclass(frozen=True, slots=True)
class Texts:
    """JSON records of one source, one text each, undecoded; blank ones are already left out."""

    source: str
    texts: Sequence[bytes]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Columns:
    """Records of one source as columns: typed (arrow, parquet, avro) or textual (csv).

    `raw` [n] is the line of each row where the format has lines. A csv cell that is empty is null.
    """

    source: str
    table: pa.Table
    origin: Origin
    raw: Sequence[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Damaged:
    """Bytes that are not of the source's format; `origin` has the one place where they begin."""

    source: str
    raw: bytes
    reason: str
    detail: str
    origin: Origin


Fetched = Texts | Columns | Damaged
