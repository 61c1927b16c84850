"""How often ids without a row were seen, in bounded memory: a count-min sketch that forgets.

Each cell of ids (model/vocabulary/sharding.py) has a sketch of its own: Cormode and Muthukrishnan,
"An improved data stream summary: the count-min sketch", 2005. A cell that has counted an eighth as
many sightings as it has counters halves them all, as TinyLFU does (Einziger, Friedman and Manes,
2017), so what is seen seldom fades. An id may be taken for another that shares all its counters:
then it has a row too early. With the default number of counters, a stream of ids that all are new
has this happen to 1.6 % of them where two sightings are asked for, to 0.006 % where three are.

Legend: U unique ids, L cells of this process, C counters of a cell, H hashes of an id.
"""

import torch
from torch import Tensor

from kernels.hashing import hashed, key_of
from model.exchange import Exchange
from model.vocabulary.settings import VocabularySettings
from model.vocabulary.sharding import CELLS, cell_of
from schemas.failures import Failure

HASHES = 4
COUNTERS_A_SIGHTING = 8

_KEY = key_of(0xAD317)


class Admission:
    """Counts sightings of ids without a row, and says which have been seen often enough."""

    def __init__(
        self, settings: VocabularySettings, exchange: Exchange, device: torch.device | str
    ) -> None:
        self._admit_after, self._exchange = settings.admit_after, exchange
        self._width = settings.counters // CELLS if settings.admit_after > 1 else 0
        self._cell_L = torch.arange(exchange.rank, CELLS, exchange.world, device=device)
        self._count_LC = torch.zeros(
            (len(self._cell_L), self._width), dtype=torch.int32, device=device
        )
        self._since_halving_L = torch.zeros_like(self._cell_L)

    @property
    def nbytes(self) -> int:
        """Bytes of the counters."""
        return self._count_LC.nbytes + self._since_halving_L.nbytes

    def admitted(self, id_U: Tensor, count_U: Tensor) -> Tensor:
        """Counts each id's sightings, and tells which now have enough for a row: bool [U].

        The ids are this process's own; all sightings of a step must come in one call.
        """
        if self._admit_after == 1:
            return torch.ones_like(id_U, dtype=torch.bool)
        place_U = cell_of(id_U) // self._exchange.world
        number_H = torch.arange(HASHES, device=id_U.device)
        counter_UH = hashed(_KEY, id_U.unsqueeze(1), number_H).remainder(self._width)
        counter_UH = counter_UH + place_U.unsqueeze(1) * self._width
        # More sightings than are asked for must not push others out.
        count_U = count_U.clamp(max=self._admit_after)
        added_n = count_U.int().repeat_interleave(HASHES)
        self._count_LC.view(-1).index_add_(0, counter_UH.view(-1), added_n)
        self._since_halving_L.index_add_(0, place_U, count_U)
        found_U = self._count_LC.view(-1)[counter_UH].amin(1)
        self._forget()
        return found_U >= self._admit_after

    def _forget(self) -> None:
        """Halves the cells that have counted enough since they were last halved."""
        is_due_L = self._since_halving_L * COUNTERS_A_SIGHTING >= self._width
        self._count_LC[is_due_L] >>= 1
        self._since_halving_L[is_due_L] = 0

    def state(self) -> dict[str, Tensor]:
        """The counters, by cell."""
        return {
            "cells": self._cell_L,
            "counts": self._count_LC.clone(),
            "since_halving": self._since_halving_L.clone(),
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes over the counters of those cells that are this process's own.

        Raises Failure for another number of counters.
        """
        if (width := state["counts"].shape[1]) != self._width:
            raise Failure(
                f"{width * CELLS} counters of sightings; these settings ask for"
                f" {self._width * CELLS} (counters; none where admit_after is 1)"
            )
        cell_n = state["cells"].to(self._cell_L.device)
        own_n = (cell_n % self._exchange.world == self._exchange.rank).nonzero().squeeze(1)
        place_n = cell_n[own_n] // self._exchange.world
        self._count_LC[place_n] = state["counts"].to(self._cell_L.device)[own_n]
        self._since_halving_L[place_n] = state["since_halving"].to(self._cell_L.device)[own_n]
