"""The ids that can be recommended, and how fresh each is: the same in all processes, in one order.

Legend: R ids of the catalogue, n ids given, S drawn, H half-lives.
"""

import torch
from torch import Tensor

from kernels.freshness_bias import HALF_LIVES, Freshness, cooled
from kernels.hashing import hashed
from model.exchange import Exchange
from model.vocabulary.id_table import ABSENT, IdTable
from model.vocabulary.rows import NEVER

FEWEST = 1024
"""Ids that there is room for at first."""


class Catalogue:
    """Ids in the order in which they came, but that the last take the places of the removed.

    Of each is known when it was added and last engaged with, in ms, and its heat for each of
    HALF_LIVES: how often it was engaged with, each time worth 2^(-age / half-life). All processes
    call `add`, `engage` and `remove` alike, each with the ids that it knows of.
    """

    def __init__(self, exchange: Exchange, device: torch.device | str = "cpu") -> None:
        self._exchange, self._device = exchange, device
        self._empty()

    def _empty(self) -> None:
        self._table = IdTable(self._device)
        self._known_3R = torch.zeros((3, FEWEST), dtype=torch.int64, device=self._device)
        self._heat_HR = torch.zeros(
            (len(HALF_LIVES), FEWEST), dtype=torch.float64, device=self._device
        )
        self._place_R = torch.zeros_like(self._known_3R[0])  # by row of the id table

    def __len__(self) -> int:
        return len(self._table)

    @property
    def ids(self) -> Tensor:
        """The ids by place: int64 [R]; a view, which holds until something is added or removed."""
        return self._known_3R[0, : len(self)]

    @property
    def first_seen(self) -> Tensor:
        """When each id was added, ms: int64 [R]; a view as `ids` is."""
        return self._known_3R[1, : len(self)]

    @property
    def last_engaged(self) -> Tensor:
        """When somebody last engaged with each id, ms: int64 [R]; a view as `ids` is."""
        return self._known_3R[2, : len(self)]

    @property
    def heat(self) -> Tensor:
        """The heat of each id as it was when it was last engaged with: float64 [H, R]; a view."""
        return self._heat_HR[:, : len(self)]

    def fresh(self, id_n: Tensor) -> Freshness:
        """How fresh each id is; NEVER, and no heat, where it is not there."""
        place_n = self.place(id_n)
        there_n, place_n = place_n != ABSENT, place_n.clamp(min=0)
        first_n, last_n = self._known_3R[1:].index_select(1, place_n).where(there_n, NEVER)
        heat_Hn = self._heat_HR.index_select(1, place_n).where(there_n, 0.0)
        return Freshness(first_n, last_n, heat_Hn)

    def place(self, id_n: Tensor) -> Tensor:
        """The place of each id, ABSENT where it is not in the catalogue: int64 [n]."""
        row_n = self._table.find(id_n)
        place_n = self._place_R.index_select(0, row_n.clamp(min=0))
        return place_n.where(row_n != ABSENT, ABSENT)

    def add(self, id_n: Tensor, now_ms: int) -> None:
        """Adds at the end, in ascending order, the ids of any process that are not there yet."""
        id_n = torch.unique(self._of_all(id_n[self._table.find(id_n) == ABSENT]))
        if len(id_n):
            self._append(id_n, torch.full((2, len(id_n)), now_ms, device=id_n.device))

    def engage(self, id_n: Tensor, time_n: Tensor) -> None:
        """Takes note of engagements at these times, of any process, with ids that are there."""
        place_n, time_n = self.place(self._of_all(id_n)), self._of_all(time_n)
        there_n = (place_n != ABSENT).nonzero().squeeze(1)
        place_n, time_n = place_n[there_n], time_n[there_n]
        before_R = self.last_engaged.clone()
        self.last_engaged.scatter_reduce_(0, place_n, time_n, "amax")
        self.heat.mul_(cooled(self.last_engaged - before_R))
        self.heat.index_add_(1, place_n, cooled(self.last_engaged[place_n] - time_n))

    def remove(self, id_n: Tensor) -> None:
        """Removes the ids of any process that are there."""
        id_n = self._of_all(id_n)
        if not len(id_n):
            return
        before, row_n = len(self), self._table.remove(torch.unique(id_n))
        gone_n = self._place_R[row_n].sort().values
        last_n = torch.arange(len(self), before, device=gone_n.device)
        moving_n = last_n[~torch.isin(last_n, gone_n)]
        hole_n = gone_n[: len(moving_n)]
        self._known_3R[:, hole_n] = self._known_3R[:, moving_n]
        self._heat_HR[:, hole_n] = self._heat_HR[:, moving_n]
        self._place_R[self._table.find(self._known_3R[0, hole_n])] = hole_n

    def sample(self, key: int, count: int) -> Tensor:
        """Ids drawn evenly, with repetition, by a hash of the key: int64 [S]; none of none."""
        number_S = torch.arange(count if len(self) else 0, device=self._device)
        return self.ids[hashed(key, number_S).remainder(max(len(self), 1))]

    def state(self) -> dict[str, Tensor]:
        """A copy of ids and times by place, the same in all processes."""
        return {
            "ids": self.ids.clone(),
            "first_seen": self.first_seen.clone(),
            "last_engaged": self.last_engaged.clone(),
            "heat": self.heat.clone(),
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes over the state of any of the processes."""
        self._empty()
        times_2n = torch.stack([state["first_seen"], state["last_engaged"]])
        self._append(state["ids"].to(self._device), times_2n.to(self._device))
        self.heat.copy_(state["heat"])

    def _of_all(self, id_n: Tensor) -> Tensor:
        return torch.cat(self._exchange.gather(id_n))

    def _append(self, id_n: Tensor, times_2n: Tensor) -> None:
        """Puts ids that are not there behind the others."""
        before, row_n = len(self), self._table.add(id_n)
        self._make_room(self._table.rows)
        place_n = torch.arange(before, len(self), device=self._device)
        self._known_3R[:, place_n] = torch.cat([id_n.unsqueeze(0), times_2n])
        self._heat_HR[:, place_n] = 0
        self._place_R[row_n] = place_n

    def _make_room(self, rows: int) -> None:
        have = len(self._place_R)
        if rows > have:
            more = max(rows, 2 * have) - have
            self._known_3R = torch.cat([self._known_3R, self._known_3R.new_zeros((3, more))], 1)
            cold_Hn = self._heat_HR.new_zeros((len(HALF_LIVES), more))
            self._heat_HR = torch.cat([self._heat_HR, cold_Hn], 1)
            self._place_R = torch.cat([self._place_R, self._place_R.new_zeros(more)])
