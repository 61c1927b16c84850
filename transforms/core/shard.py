"""A shard's firing as a whole: what waits and what is held, through `cut`, and back."""

import json
from collections.abc import Generator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from schemas.spec import Spec
from transforms.core.archive import Archive, Bag, Sizes
from transforms.core.arrays import NEVER, Bools, Ints, ints
from transforms.core.contents import contents_schema
from transforms.core.cut import Cut, Tally, cut
from transforms.core.ledger import empty_ledger, forgotten_before
from transforms.core.waiting import due, next_due

_EXPIRIES_A_RETENTION = 16

EVER = 1 << 61
"""The time up to which everything is final at the end of bounded input."""


@dataclass
class Held:
    """What a shard holds between firings beside its archive: the ledger of its users, the next
    free slot, the time up to which its observations were final, and the archive's sizes."""

    ledger: pa.Table = field(default_factory=empty_ledger)
    next_slot: int = 0
    final: int = -EVER
    sizes: Sizes = field(default_factory=Sizes)

    def to_batch(self) -> pa.RecordBatch:
        """One chunk of the ledger with all else in its metadata."""
        numbers = {"next_slot": self.next_slot, "final": self.final, "sizes": self.sizes.as_dict()}
        table = self.ledger.replace_schema_metadata({"phia-held": json.dumps(numbers)})
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)

    @classmethod
    def from_batch(cls, batch: pa.RecordBatch) -> "Held":
        """The inverse of `to_batch`."""
        numbers = json.loads(batch.schema.metadata[b"phia-held"])
        ledger = pa.Table.from_batches([batch]).replace_schema_metadata(None)
        return cls(ledger, numbers["next_slot"], numbers["final"], Sizes(**numbers["sizes"]))


@dataclass(frozen=True)
class Fired:
    """What a firing leaves: the observations that wait on, and when the next may be due."""

    waiting: pa.Table
    next_due: int
    tombstones: pa.Table
    tally: Tally


@dataclass
class Shard:
    """One shard: `held` and the bags of its archive. `fire` changes both."""

    spec: Spec
    held: Held
    recent: Bag
    cells: list[Bag]

    def fire(self, rows: pa.Table, final: int) -> Generator[pa.RecordBatch, None, Fired]:
        """Gives the sequences of what is complete when all up to `final` is final; and at its end
        returns what else there is."""
        ready, waiting = _parted(rows, due(rows, self.spec, final))
        held = self.held
        held.final = max(held.final, final)
        archive = Archive(self.spec, self.recent, self.cells, held.sizes)
        done = cut(ready, final, held.ledger, held.next_slot, self.spec, archive.recall)
        pause = yield from done.sequences
        waiting = pa.concat_tables([waiting, done.waiting]).combine_chunks()
        held.ledger, held.next_slot = done.ledger, done.next_slot
        if final < EVER:
            gone = np.concatenate([done.gone, self._expire(waiting["user"], final)])
            archive.forget(np.sort(gone))
            archive.append(done.contents, np.sort(ints(held.ledger["slot"])))
        due_next = min(next_due(waiting, self.spec), self._expiry())
        return Fired(waiting, due_next, done.tombstones, replace(done.tally, pause=pause))

    def _expire(self, waiting: pa.ChunkedArray, final: int) -> Ints:
        """S15: forgets users whose next observation can only begin anew, and gives their slots."""
        before = self.held.ledger
        if self.spec.retention is None:
            return np.empty(0, np.int64)
        self.held.ledger = forgotten_before(before, final - self.spec.retention, waiting)
        return np.setdiff1d(ints(before["slot"]), ints(self.held.ledger["slot"]))

    def _expiry(self) -> int:
        """S15: when to fire for users who may be forgotten by then, if for nothing else. Nothing
        in the global window is collected by itself; many together cost little more than one."""
        retention, last = self.spec.retention, ints(self.held.ledger["last"])
        if retention is None or not len(last):
            return NEVER
        return int(last.min()) + retention + retention // _EXPIRIES_A_RETENTION + 1


def cut_all(rows: pa.Table, spec: Spec) -> Generator[pa.RecordBatch, None, Cut]:
    """Gives the sequences of a shard of bounded input, cut at the end of time; and at its end
    returns what else there is. Nobody was there before."""
    nothing = contents_schema(spec).empty_table()
    done = cut(rows, EVER, empty_ledger(), 0, spec, lambda _: nothing)
    pause = yield from done.sequences
    return replace(done, tally=replace(done.tally, pause=pause))


def _parted(rows: pa.Table, which: Bools) -> tuple[pa.Table, pa.Table]:
    """The rows where the mask is True, and the others."""
    if which.all():
        return rows, rows.slice(0, 0)
    return rows.filter(pa.array(which)), rows.filter(pa.array(~which))
