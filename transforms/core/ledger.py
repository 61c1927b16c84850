"""What a shard knows of each of its users between two firings, without their histories.

One row a user: the number of contents of its life so far, the raw tokens, the time of its last
observation, the feature entries that later sequences may need, and the slot under which the
contents themselves are kept (see `transforms.core.archive`). It is small, so that a firing can
read all of it; the contents are read only for sequences that are emitted.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.core.arrays import Ints, ints, ranges, sums_before
from transforms.core.entries import Entries, no_entries

UNSEEN = -(1 << 62)
"""The time of the last observation of a user of whom nothing is held."""

SCHEMA = pa.schema(
    [
        pa.field("user", pa.string()),
        pa.field("slot", pa.int64()),
        pa.field("contents", pa.int64()),
        pa.field("raw", pa.int64()),
        pa.field("last", pa.int64()),
        pa.field("at", pa.list_(pa.int64())),
        pa.field("kind", pa.list_(pa.int16())),
        pa.field("id", pa.list_(pa.int64())),
        pa.field("entry_time", pa.list_(pa.int64())),
    ],
    {"phia-ledger": "1"},
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is held of each of n lives: [n] numbers, and their entries by life."""

    slot: Ints
    contents: Ints
    raw: Ints
    last: Ints
    entries: Entries

    def take(self, lives: Ints) -> "Standing":
        """The standing of some lives, renumbered in the order given (ascending)."""
        number = np.full(len(self.slot), -1)
        number[lives] = np.arange(len(lives))
        life = number[self.entries.life]
        entries = self.entries.take(life >= 0)
        renumbered = Entries(life[life >= 0], entries.at, entries.kind, entries.id, entries.time)
        return Standing(
            self.slot[lives], self.contents[lives], self.raw[lives], self.last[lives], renumbered
        )


def rows_of(ledger: pa.Table, users: pa.Array) -> Ints:
    """[users] the row of each user in the ledger, -1 where it has none."""
    if not ledger.num_rows:
        return np.full(len(users), -1)
    return ints(pc.index_in(users, value_set=ledger["user"].combine_chunks()), null=-1)


def standing_at(ledger: pa.Table, row: Ints) -> Standing:
    """What is held of users at these ledger rows (-1: nothing, in no slot)."""
    known = row >= 0

    def column(name: str, absent: int) -> Ints:
        out = np.full(len(row), absent)
        out[known] = ints(ledger[name])[row[known]]
        return out

    return Standing(
        column("slot", -1),
        column("contents", 0),
        column("raw", 0),
        column("last", UNSEEN),
        _entries_at(ledger, row[known], np.flatnonzero(known)),
    )


def rewritten(ledger: pa.Table, gone: Ints, users: pa.Array, standing: Standing) -> pa.Table:
    """The ledger without the rows `gone`, with these users' standing at its end."""
    stays = np.ones(ledger.num_rows, bool)
    stays[gone[gone >= 0]] = False
    return pa.concat_tables([ledger.filter(pa.array(stays)), _table(users, standing)])


def forgotten_before(ledger: pa.Table, moment: int, but: pa.ChunkedArray) -> pa.Table:
    """S15: the ledger without the users last observed before `moment`, `but` for some users."""
    recent = pc.greater_equal(ledger["last"], moment)
    return ledger.filter(pc.or_(recent, pc.is_in(ledger["user"], value_set=but.combine_chunks())))


def _entries_at(ledger: pa.Table, row: Ints, life: Ints) -> Entries:
    if not len(row):
        return no_entries()
    lists = {name: ledger[name].combine_chunks() for name in ("at", "kind", "id", "entry_time")}
    offsets = ints(lists["at"].offsets)
    length = offsets[row + 1] - offsets[row]
    which = ranges(offsets[row], length)
    at, kind, ids, time = (ints(column.values)[which] for column in lists.values())
    return Entries(np.repeat(life, length), at, kind, ids, time)


def _table(users: pa.Array, standing: Standing) -> pa.Table:
    entries = standing.entries
    count = np.bincount(entries.life, minlength=len(users))
    offsets = pa.array(sums_before(count), pa.int32())
    lists = [
        pa.ListArray.from_arrays(offsets, pa.array(values, kind))
        for values, kind in (
            (entries.at, pa.int64()),
            (entries.kind, pa.int16()),
            (entries.id, pa.int64()),
            (entries.time, pa.int64()),
        )
    ]
    numbers = [standing.slot, standing.contents, standing.raw, standing.last]
    return pa.table([users, *map(pa.array, numbers), *lists], schema=SCHEMA)


def empty_ledger() -> pa.Table:
    """A ledger of nobody."""
    return SCHEMA.empty_table()
