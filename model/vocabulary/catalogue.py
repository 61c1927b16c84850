"""The ids that can be recommended: the same in all processes, in the same order.

Legend: R ids of the catalogue, n ids given, S drawn.
"""

import torch
from torch import Tensor

from kernels.hashing import hashed
from model.exchange import Exchange
from model.vocabulary.id_table import ABSENT, IdTable


class Catalogue:
    """Ids in the order in which they came, but that the last take the places of the removed.

    All processes call `add` and `remove` alike, each with the ids that it knows of.
    """

    def __init__(self, exchange: Exchange, device: torch.device | str = "cpu") -> None:
        self._exchange, self._device = exchange, device
        self._empty()

    def _empty(self) -> None:
        self._table = IdTable(self._device)
        self._both_2R = torch.zeros((2, 0), dtype=torch.int64, device=self._device)
        self._place_R = self._both_2R[0]  # by row of the id table

    def __len__(self) -> int:
        return len(self._table)

    @property
    def ids(self) -> Tensor:
        """The ids by place: int64 [R]; a view, which holds until something is added or removed."""
        return self._both_2R[0, : len(self)]

    @property
    def first_seen(self) -> Tensor:
        """When each id was added, ms: int64 [R]; a view as `ids` is."""
        return self._both_2R[1, : len(self)]

    def place(self, id_n: Tensor) -> Tensor:
        """The place of each id, ABSENT where it is not in the catalogue: int64 [n]."""
        row_n = self._table.find(id_n)
        place_n = torch.full_like(row_n, ABSENT)
        place_n[row_n != ABSENT] = self._place_R[row_n[row_n != ABSENT]]
        return place_n

    def add(self, id_n: Tensor, now_ms: int) -> None:
        """Adds at the end, in ascending order, the ids of any process that are not there yet."""
        id_n = self._of_all(id_n[self._table.find(id_n) == ABSENT])
        self._append(id_n, torch.full_like(id_n, now_ms))

    def remove(self, id_n: Tensor) -> None:
        """Removes the ids of any process that are there."""
        before, row_n = len(self), self._table.remove(self._of_all(id_n))
        gone_n = self._place_R[row_n].sort().values
        last_n = torch.arange(len(self), before, device=gone_n.device)
        moving_n = last_n[~torch.isin(last_n, gone_n)]
        hole_n = gone_n[: len(moving_n)]
        self._both_2R[:, hole_n] = self._both_2R[:, moving_n]
        self._place_R[self._table.find(self._both_2R[0, hole_n])] = hole_n

    def sample(self, key: int, count: int) -> Tensor:
        """Ids drawn evenly, with repetition, by a hash of the key: int64 [S]; none of none."""
        number_S = torch.arange(count if len(self) else 0, device=self._device)
        return self.ids[hashed(key, number_S).remainder(max(len(self), 1))]

    def state(self) -> dict[str, Tensor]:
        """A copy of ids and times by place, the same in all processes."""
        return {"ids": self.ids.clone(), "first_seen": self.first_seen.clone()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes over the state of any of the processes."""
        self._empty()
        self._append(state["ids"].to(self._device), state["first_seen"].to(self._device))

    def _of_all(self, id_n: Tensor) -> Tensor:
        id_U: Tensor = torch.unique(torch.cat(self._exchange.gather(id_n)))
        return id_U

    def _append(self, id_n: Tensor, first_seen_n: Tensor) -> None:
        """Puts ids that are not there behind the others."""
        before, row_n = len(self), self._table.insert(id_n)
        self._make_room(self._table.rows)
        place_n = torch.arange(before, len(self), device=self._device)
        self._both_2R[:, place_n] = torch.stack([id_n, first_seen_n])
        self._place_R[row_n] = place_n

    def _make_room(self, rows: int) -> None:
        have = len(self._place_R)
        if rows > have:
            more = max(rows, 2 * have) - have
            self._both_2R = torch.cat([self._both_2R, self._both_2R.new_zeros((2, more))], 1)
            self._place_R = torch.cat([self._place_R, self._place_R.new_zeros(more)])
