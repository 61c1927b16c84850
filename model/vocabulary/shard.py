"""The part of a table that one process holds: the ids that it owns, their rows, their sightings.

Legend: V unique ids, n some of them, M width.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from kernels.hashing import normal
from model.exchange import Exchange
from model.vocabulary.admission import Admission
from model.vocabulary.eviction import least_recent, oldest_allowed, surplus_of
from model.vocabulary.id_table import ABSENT, IdTable
from model.vocabulary.rows import NEVER, Rows
from model.vocabulary.settings import RowwiseAdamW, VocabularySettings
from model.vocabulary.sharding import owner_of
from schemas.failures import Failure

UNKNOWN, NULL = -1, 0
"""The ids of the two rows that are always there: for all ids without a row; for null."""

SPREAD = 0.02
"""Standard deviation of a new row's entries."""

_LATEST = 2**63 - 1


class Shard:
    """Rows of the ids that this process owns; `key` decides what new rows begin with."""

    def __init__(
        self,
        width: int,
        settings: VocabularySettings,
        optimizer: RowwiseAdamW,
        exchange: Exchange,
        key: int,
        device: torch.device | str,
    ) -> None:
        self._settings, self._optimizer, self._exchange = settings, optimizer, exchange
        self._width, self._key, self._device = width, key, device
        self._empty()
        always = torch.tensor([UNKNOWN, NULL], device=device)
        self._add_rows(always[self._is_own(always)])

    def _empty(self) -> None:
        self.ids, self.rows = (
            IdTable(self._device),
            Rows(self._width, self._optimizer, self._device),
        )
        self._admission = Admission(self._settings, self._exchange, self._device)
        self._oldest = _LATEST  # no id was last seen before; what spares looking at all of them

    def _is_own(self, id_n: Tensor) -> Tensor:
        return owner_of(id_n, self._exchange.world) == self._exchange.rank

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return self.ids.nbytes + self.rows.nbytes + self._admission.nbytes

    def look_up(self, id_V: Tensor, count_V: Tensor, now_ms: int) -> tuple[Tensor, Tensor, Tensor]:
        """For each id its row or ABSENT, the time it was first seen before, and whether its row is
        new. It is seen `count_V` times now, which may give it a row; 0 is a question only."""
        row_V = self.ids.find(id_V)
        is_new_V = torch.zeros_like(row_V, dtype=torch.bool)
        missing_n = ((row_V == ABSENT) & (count_V > 0)).nonzero().squeeze(1)
        if len(missing_n):
            new_n = missing_n[self._admission.admitted(id_V[missing_n], count_V[missing_n])]
            row_V[new_n] = self._add_rows(id_V[new_n])
            is_new_V[new_n] = True
        first_seen_V = self.rows.first_seen_R.index_select(0, row_V.clamp(min=0))
        first_seen_V = torch.where(row_V == ABSENT, NEVER, first_seen_V)
        self.rows.see(row_V[(row_V != ABSENT) & (count_V > 0)], now_ms)
        self._oldest = min(self._oldest, now_ms)
        return row_V, first_seen_V, is_new_V

    def _add_rows(self, id_n: Tensor) -> Tensor:
        """Gives new ids rows, which begin with what a hash draws; returns the rows."""
        row_n = self.ids.add(id_n)
        self.rows.reserve(self.ids.rows)
        column_M = torch.arange(self._width, device=self._device)
        drawn_nM = normal(self._key, id_n.unsqueeze(1), column_M)
        self.rows.vector_RM[row_n] = SPREAD * drawn_nM
        return row_n

    def evict(self, now_ms: int) -> Tensor:
        """Takes their rows from ids that are too old, then from those that are too many among all
        processes; returns the ids."""
        return torch.cat([self._evict_old(now_ms), self._evict_surplus()])

    def _evict_old(self, now_ms: int) -> Tensor:
        age = self._settings.max_age
        limit = self._oldest if age is None else oldest_allowed(now_ms, age)
        if limit <= self._oldest:
            return _no_rows(self._device)
        self._oldest = limit
        row_n = self._evictable()
        return self._take_away(row_n[self.rows.last_seen_R[row_n] < limit])

    def _evict_surplus(self) -> Tensor:
        surplus = self._surplus()
        if not surplus:
            return _no_rows(self._device)
        row_n = self._evictable()
        id_n, last_seen_n = self.ids.id_R[row_n], self.rows.last_seen_R[row_n]
        return self._take_away(row_n[least_recent(id_n, last_seen_n, surplus, self._exchange)])

    def _surplus(self) -> int:
        """How many rows all processes together have too many."""
        if self._settings.capacity is None:
            return 0
        held = self._exchange.sum_(torch.tensor(len(self.ids), device=self._device))
        return surplus_of(int(held) - len((UNKNOWN, NULL)), self._settings.capacity)

    def _evictable(self) -> Tensor:
        row_n = self.ids.taken()
        return row_n[self.ids.id_R[row_n] > NULL]

    def _take_away(self, row_n: Tensor) -> Tensor:
        """The ids of these rows, which are free and empty from now on."""
        id_n = self.ids.id_R[row_n]
        self.rows.clear(self.ids.remove(id_n))
        return id_n

    def state(self) -> dict[str, Tensor]:
        """The rows by ascending id, and the counters of sightings: copies."""
        row_n = self.ids.taken()
        row_n = row_n[self.ids.id_R[row_n].argsort()]
        return {"ids": self.ids.id_R[row_n]} | self.rows.state(row_n) | self._admission.state()

    def load(self, states: Iterable[dict[str, Tensor]]) -> None:
        """Takes over what is this process's own of the states of all, however many they were.

        Raises Failure for rows of another width or another number of counters.
        """
        self._empty()
        for state in states:
            if (width := state["vectors"].shape[1]) != self._width:
                raise Failure(f"vectors of width {width}; this table has a width of {self._width}")
            id_n = state["ids"].to(self._device)
            own_n = self._is_own(id_n).nonzero().squeeze(1)
            row_n = self.ids.insert(id_n[own_n])
            self.rows.reserve(self.ids.rows)
            self.rows.load(row_n, state, own_n)
            self._admission.load(state)
        last_seen_n = self.rows.last_seen_R[self._evictable()]
        self._oldest = int(last_seen_n.min()) if len(last_seen_n) else _LATEST


def _no_rows(device: torch.device | str) -> Tensor:
    return torch.zeros(0, dtype=torch.int64, device=device)
