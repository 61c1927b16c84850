"""Holds what a stream has written against what a bounded run of the same topics writes.

A row is a key and a line: all that is known of it, as text. Rows are the same if their lines are,
byte for byte.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

Rows = list[tuple[str, bytes]]
"""Rows in the order in which they were found: the key of each, and its line."""

_TIME, _END, _USER = "time", "session_end", "user_id"


@dataclass(frozen=True)
class Verdict:
    """`rows` that are expected; `lost` of them are not there; `doubled` came again, which is
    allowed; `differing` came otherwise, first or again, or were not expected at all."""

    rows: int = 0
    lost: int = 0
    doubled: int = 0
    differing: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing is lost and nothing differs."""
        return not self.lost and not self.differing


def judge(expected: Rows, found: Rows) -> Verdict:
    """The verdict on the rows found. Of what is expected, each key must be there once."""
    wanted = dict(expected)
    seen: set[str] = set()
    doubled = differing = 0
    for key, line in found:
        doubled += key in seen
        differing += wanted.get(key) != line
        seen.add(key)
    differing += len(expected) - len(wanted)
    return Verdict(len(wanted), len(wanted.keys() - seen), doubled, differing)


def rows_of(table: pa.Table, key: list[str]) -> Rows:
    """The rows of a table by some of its columns; the order of the columns does not matter."""
    frame = pl.from_arrow(table.select(sorted(table.column_names)))
    if not isinstance(frame, pl.DataFrame) or not frame.height:
        return []
    text = frame.with_columns(pl.col(pl.Binary).bin.encode("hex"))
    keys = [" ".join(map(str, row)) for row in text.select(key).iter_rows()]
    return list(zip(keys, text.write_ndjson().encode().splitlines(), strict=True))


def without_void(sequences: pa.Table, tombstones: pa.Table) -> pa.Table:
    """The sequences that no erasure makes void (S13)."""
    erased: dict[str, int] = {}
    for user, time in _pairs(tombstones, _USER, _TIME):
        erased[user] = max(time, erased.get(user, time))
    ends = _pairs(sequences, _USER, _END)
    return sequences.filter(
        pa.array([end > erased.get(user, end - 1) for user, end in ends], pa.bool_())
    )


def before(table: pa.Table, time: int, name: str) -> pa.Table:
    """The rows whose column of that name is before a time (ms)."""
    times = table[name].cast(pa.int64()).to_pylist()
    return table.filter(pa.array([each < time for each in times], pa.bool_()))


def _pairs(table: pa.Table, user: str, time: str) -> Iterable[tuple[str, int]]:
    times = table[time].cast(pa.int64()).to_pylist()
    return list(zip(table[user].to_pylist(), times, strict=True))
