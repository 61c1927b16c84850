"""The histories of a shard: what was appended lately in one bag, all else in a few cells.

A bag is appended to at each firing and read only for what a sequence needs. When the recent bag
has grown, its contents move to the cells by slot, so that the history of a few users is read
without those of all; a cell that has doubled since is rewritten with what is still needed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.spec import Spec
from transforms.core.arrays import Ints, ints
from transforms.core.contents import in_order, newest, of_slots, packed, unpacked

CELLS = 8
RECENT_BYTES = 1 << 18


class Bag(Protocol):
    """A bag of chunks, in any order: Beam's BagState, or a list in memory."""

    def read(self) -> Iterable[pa.RecordBatch]:
        """All chunks."""

    def add(self, value: pa.RecordBatch) -> None:
        """One more chunk."""

    def clear(self) -> None:
        """No chunks."""


@dataclass
class Sizes:
    """Bytes in the recent bag, in each cell, and in each cell when it was last rewritten."""

    recent: int = 0
    cells: list[int] = field(default_factory=lambda: [0] * CELLS)
    rewritten: list[int] = field(default_factory=lambda: [0] * CELLS)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, to be kept with the ledger."""
        return asdict(self)


@dataclass(frozen=True)
class Archive:
    """The kept contents of a shard's users; `sizes` changes as it is written to."""

    spec: Spec
    recent: Bag
    cells: Sequence[Bag]
    sizes: Sizes

    def recall(self, slots: Ints) -> pa.Table:
        """The contents kept in these slots (ascending), by slot and ordinal."""
        chunks = [*self.recent.read()]
        for cell in np.unique(slots % CELLS).tolist():
            if self.sizes.cells[cell]:
                chunks += self.cells[cell].read()
        mine = [of_slots(chunk, slots) for chunk in chunks]
        return in_order([unpacked(part, self.spec) for part in mine if part.num_rows], self.spec)

    def append(self, contents: pa.Table, live: Ints) -> None:
        """Keeps more contents; `live` are the slots in use, the contents of others may go."""
        if contents.num_rows:
            chunk = packed(contents)
            self.recent.add(chunk)
            self.sizes.recent += _kept_bytes(chunk)
        if self.sizes.recent > RECENT_BYTES:
            self._spread(live)

    def forget(self, slots: Ints) -> None:
        """S13: nothing of these slots is kept."""
        if not len(slots):
            return
        if self.sizes.recent:
            self.sizes.recent = self._rewrite(self.recent, without=slots)
        for cell in np.unique(slots % CELLS).tolist():
            if self.sizes.cells[cell]:
                self.sizes.cells[cell] = self._rewrite(self.cells[cell], without=slots)

    def _spread(self, live: Ints) -> None:
        recent = in_order([unpacked(c, self.spec) for c in self.recent.read()], self.spec)
        self.recent.clear()
        self.sizes.recent = 0
        cell_of = ints(recent["slot"]) % CELLS
        for cell in np.unique(cell_of).tolist():
            chunk = packed(recent.filter(pa.array(cell_of == cell)))
            self.cells[cell].add(chunk)
            self.sizes.cells[cell] += _kept_bytes(chunk)
            if self.sizes.cells[cell] > 2 * self.sizes.rewritten[cell] + RECENT_BYTES // CELLS:
                size = self._rewrite(self.cells[cell], only=live)
                self.sizes.cells[cell] = self.sizes.rewritten[cell] = size

    def _rewrite(self, bag: Bag, only: Ints | None = None, without: Ints | None = None) -> int:
        """Rewrites a bag as one chunk, or none, and returns its bytes."""
        every = in_order([unpacked(chunk, self.spec) for chunk in bag.read()], self.spec)
        bag.clear()
        slots = every["slot"]
        if without is not None:
            every = every.filter(pc.invert(pc.is_in(slots, pa.array(without))))
        if only is not None:
            every = every.filter(pc.is_in(slots, pa.array(only)))
        if not every.num_rows:
            return 0
        chunk = packed(newest(every, self.spec.history.contents))
        bag.add(chunk)
        return _kept_bytes(chunk)


def _kept_bytes(chunk: pa.RecordBatch) -> int:
    """The bytes of a chunk before it is compressed: of a small one the schema is most."""
    return int(chunk.schema.serialize().size + pa.ipc.get_record_batch_size(chunk))
