"""Which process holds an id: by a cell of its hash, the same for any number of processes.

All that happens to an id (its sightings, its row, its training) happens at the owner of its cell.
A cell never depends on how many processes there are, so neither does what happens in it.

Legend: N ids, U unique ids.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.hashing import hashed, key_of
from model.exchange import Exchange

CELLS = 2**10
"""More than there will be processes; fixed for the life of a checkpoint."""

_KEY = key_of(0xCE22)


def cell_of(id_N: Tensor) -> Tensor:
    """The cell of each id, from 0 to CELLS - 1."""
    return hashed(_KEY, id_N) & (CELLS - 1)


def owner_of(id_N: Tensor, world: int) -> Tensor:
    """The rank that holds each id."""
    return cell_of(id_N) % world


@dataclass(frozen=True)
class Asked:
    """Unique ids as a process asks for them: those of rank 0 first; each rank's ids ascending."""

    id_U: Tensor
    count_U: Tensor
    """How often each is sighted."""
    inverse_N: Tensor
    lengths: list[int]
    """How many ids of each rank there are."""

    @classmethod
    def of(cls, id_N: Tensor, sighted: int, exchange: Exchange) -> "Asked":
        """The ids without repetition; `inverse_N` says which of them each is. The first `sighted`
        are sightings."""
        id_U, inverse_N = torch.unique(id_N, return_inverse=True)
        lengths = [len(id_U)]
        if exchange.world > 1:
            owner_U = owner_of(id_U, exchange.world)
            order_U = torch.argsort(owner_U, stable=True)
            place_U = torch.empty_like(order_U)
            place_U[order_U] = torch.arange(len(order_U), device=order_U.device)
            lengths = torch.bincount(owner_U, minlength=exchange.world).tolist()
            id_U, inverse_N = id_U[order_U], place_U[inverse_N]
        one_n = torch.ones_like(inverse_N[:sighted])
        count_U = torch.zeros_like(id_U).index_add_(0, inverse_N[:sighted], one_n)
        return cls(id_U, count_U, inverse_N, lengths)
