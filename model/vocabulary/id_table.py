"""Which row an id has: a hash table in tensors, for many ids at a time, on any device.

Open addressing by buckets of eight slots, as many ids as a cache line holds, which
kernels/bucket_search.py looks through. Since each bucket counts the ids that went past it, removal
leaves no marks behind.

Legend: N ids asked for, U unique ids, n some of them, R rows, S buckets, W slots of a bucket.
"""

import torch
from torch import Tensor

from kernels.bucket_search import ABSENT, NO_ID, find_rows, find_slots, place_rows_
from kernels.hashing import hashed, key_of

__all__ = ["ABSENT", "NO_ID", "IdTable"]

SLOTS = 8
MOST_LOAD = 0.7
FEWEST_BUCKETS = 128
PLACED_AT_ONCE = 2**18
"""Bounds the memory that growing takes beside the table."""

_KEY = key_of(0x1D7AB1E)


class IdTable:
    """Rows of ids. Rows of removed ids are given out again before the number of rows grows."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.id_R = torch.full((0,), NO_ID, device=device)
        """The id of each row, NO_ID of a free one; beyond `rows` there are more free ones."""
        self.rows = 0
        """Rows that have been given out at least once; each row is below."""
        self._free_n = self.id_R
        self._make_buckets(FEWEST_BUCKETS)

    def __len__(self) -> int:
        return self.rows - len(self._free_n)

    @property
    def nbytes(self) -> int:
        """Bytes of the table's tensors."""
        tensors = (self.id_R, self._free_n, self._id_SW, self._row_SW, self._passed_S)
        return sum(tensor.nbytes for tensor in tensors)

    def taken(self) -> Tensor:
        """The rows that ids have, ascending: int64."""
        return (self.id_R[: self.rows] != NO_ID).nonzero().squeeze(1)

    def find(self, id_N: Tensor) -> Tensor:
        """The row of each id, ABSENT where it has none: int64 [N]."""
        return find_rows(id_N, self._id_SW, self._row_SW, self._passed_S, _KEY)

    def insert(self, id_U: Tensor) -> Tensor:
        """The row of each id, a new one where it had none: int64 [U]. No id may be there twice."""
        row_U = self.find(id_U)
        new_n = (row_U == ABSENT).nonzero().squeeze(1)
        if len(new_n):
            row_U[new_n] = self.add(id_U[new_n])
        return row_U

    def add(self, id_n: Tensor) -> Tensor:
        """The new rows of ids that have none: int64 [n]. No id may be there twice."""
        self._make_room(len(id_n))
        row_n = self._take_rows(len(id_n))
        self.id_R[row_n] = id_n
        self._place(id_n, row_n)
        return row_n

    def remove(self, id_U: Tensor) -> Tensor:
        """Frees the rows of those ids that have one, and returns these rows. No id twice."""
        slot_U = self.slots(id_U)
        slot_n, id_n = slot_U[slot_U >= 0], id_U[slot_U >= 0]
        row_n = self._row_SW.view(-1)[slot_n].long()
        self._count_passes(id_n, slot_n // SLOTS)
        self._id_SW.view(-1)[slot_n] = NO_ID
        self.id_R[row_n] = NO_ID
        self._free_n = torch.cat([self._free_n, row_n])
        return row_n

    def _make_buckets(self, buckets: int) -> None:
        device = self.id_R.device
        self._id_SW = torch.full((buckets, SLOTS), NO_ID, device=device)
        self._row_SW = torch.full((buckets, SLOTS), ABSENT, dtype=torch.int32, device=device)
        self._passed_S = torch.zeros(buckets, dtype=torch.int32, device=device)

    def _home(self, id_N: Tensor) -> Tensor:
        """The bucket at which an id's search begins."""
        return hashed(_KEY, id_N) & (len(self._passed_S) - 1)

    def _next(self, bucket_N: Tensor) -> Tensor:
        return (bucket_N + 1) & (len(self._passed_S) - 1)

    def slots(self, id_N: Tensor, implementation: str | None = None) -> Tensor:
        """Where each id stands, counting slots of all buckets; ABSENT where it does not. See
        `find_slots`."""
        return find_slots(id_N, self._id_SW, self._passed_S, _KEY, implementation)

    def _place(self, id_n: Tensor, row_n: Tensor) -> None:
        """Puts ids that are not there into free slots, of which there are enough."""
        place_rows_(id_n, row_n, self._id_SW, self._row_SW, self._passed_S, _KEY)

    def _count_passes(self, id_n: Tensor, bucket_n: Tensor) -> None:
        """Takes back what ids in these buckets have counted on their way there."""
        passing_n = self._home(id_n)
        while len(passing_n):
            goes_on_n = passing_n != bucket_n
            passing_n, bucket_n = passing_n[goes_on_n], bucket_n[goes_on_n]
            gone_n = torch.full_like(passing_n, -1, dtype=torch.int32)
            self._passed_S.index_add_(0, passing_n, gone_n)
            passing_n = self._next(passing_n)

    def _make_room(self, more: int) -> None:
        """Doubles the buckets until the load is right, then puts every id in its place anew."""
        buckets = len(self._passed_S)
        while len(self) + more > MOST_LOAD * SLOTS * buckets:
            buckets *= 2
        if buckets > len(self._passed_S):
            self._make_buckets(buckets)
            for row_n in self.taken().tensor_split(1 + self.rows // PLACED_AT_ONCE):
                self._place(self.id_R[row_n], row_n)

    def _take_rows(self, wanted: int) -> Tensor:
        """Free rows: first those that were used before, the last freed first."""
        reused = min(wanted, len(self._free_n))
        kept = len(self._free_n) - reused
        reused_n, self._free_n = self._free_n[kept:].flip(0), self._free_n[:kept].clone()
        fresh_n = torch.arange(self.rows, self.rows + wanted - reused, device=self.id_R.device)
        self.rows += len(fresh_n)
        if self.rows > len(self.id_R):
            more = self.id_R.new_full((max(self.rows, 2 * len(self.id_R)) - len(self.id_R),), NO_ID)
            self.id_R = torch.cat([self.id_R, more])
        return torch.cat([reused_n, fresh_n])
