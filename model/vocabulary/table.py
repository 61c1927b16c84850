"""Vectors of ids without end: a row for each id that is seen often enough, shared by processes.

Every process asks for the ids of its part of a step; their owners answer (sharding.py). An id is
counted until it has been seen often enough (admission.py), then has a row (id_table.py, rows.py)
until it is not seen any more (eviction.py). All processes call the methods alike.

Whatever the number of processes, the same ids have rows and are evicted, and new rows begin alike.
Vectors differ by the rounding of sums alone: a process adds up its gradients of an id in float32,
as autograd does; what processes send is added in float64, in the order of rank.

Legend: N ids asked for, U unique ids of a process, Q ids asked of an owner, V those without
repetition, n some of any of them, M width.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kernels.hashing import key_of
from model.exchange import Exchange
from model.vocabulary.id_table import ABSENT
from model.vocabulary.settings import RowwiseAdamW, VocabularySettings
from model.vocabulary.shard import UNKNOWN, Shard
from model.vocabulary.sharding import Asked, owner_of

Initial = Callable[[Tensor], Tensor]
"""Given places among the ids asked for, says what the ids there should begin with: [n, M]."""


@dataclass(frozen=True)
class Fetched:
    """Vectors that have been fetched, and what is known of the ids that they were fetched for.

    `vectors_UM` is a leaf of autograd; id n has the vector `inverse_N[n]`. `known_N` tells which
    ids have a row of their own, `new_N` which have it since this fetch. `first_seen_N` is when an
    id with a row was seen first, ms; NEVER (-1) if not before this fetch.
    """

    vectors_UM: Tensor
    inverse_N: Tensor
    known_N: Tensor
    new_N: Tensor
    first_seen_N: Tensor
    all_known: bool
    """Whether each id has a row of its own, which is known without a look at the tensors."""
    row_U: Tensor
    """Rows at their owners."""
    lengths: list[int]
    """How many of the vectors each owner has sent."""
    evictions: int
    """How often the table had been told to evict by then."""


@dataclass(frozen=True)
class _Found:
    """What was found of ids: rows, times first seen, whether new. At the owner, and as told."""

    parts: list[Tensor]
    """By process on the other side: int64 [n, 3]."""

    @cached_property
    def all_n3(self) -> Tensor:
        """The parts one after the other."""
        return self.parts[0] if len(self.parts) == 1 else torch.cat(self.parts)

    @cached_property
    def missing(self) -> list[int]:
        """How many ids of each part have no row. A GPU is waited for once for all of them."""
        counts: list[int] = torch.stack([(p[:, 0] == ABSENT).sum() for p in self.parts]).tolist()
        return counts

    def rows(self) -> list[Tensor]:
        """The rows of ids that have one, by process."""
        return [
            part[part[:, 0] != ABSENT, 0] if missing else part[:, 0]
            for part, missing in zip(self.parts, self.missing, strict=True)
        ]

    def new_rows(self) -> list[Tensor]:
        """The rows that are new, by process."""
        return [part[part[:, 2] == 1, 0] for part in self.parts]


class EmbeddingTable:
    """The vectors of one kind of id, of which this process holds a part.

    Ids are 0 (null) and above. Null has a row of its own; all ids that have none yet share one. The
    table's name and the seed decide what new rows begin with.
    """

    def __init__(
        self,
        name: str,
        width: int,
        settings: VocabularySettings,
        optimizer: RowwiseAdamW,
        exchange: Exchange,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.name, self.width = name, width
        self._exchange, self._evictions = exchange, 0
        self.changes = 0
        """How often it was changed, or may have been; what was read before may be outdated."""
        key = key_of(seed, *name.encode())
        self._shard = Shard(width, settings, optimizer, exchange, key, device)
        self._unknown_owner = int(owner_of(torch.tensor(UNKNOWN), exchange.world))

    def __len__(self) -> int:
        """Rows of this process, those of null and of unknown ids included."""
        return len(self._shard.ids)

    @property
    def nbytes(self) -> int:
        """Bytes that this process holds."""
        return self._shard.nbytes

    def fetch(
        self,
        id_N: Tensor,
        now_ms: int,
        sighted: bool = True,
        *,
        unsighted: int = 0,
        initial: Initial | None = None,
    ) -> Fetched:
        """Vectors of the ids, each of which may stand there often.

        Where `sighted`, all but the last `unsighted` are sightings at `now_ms`, and an id that has
        been seen often enough gets a row. It begins with the mean of what `initial` says of its
        sightings in all processes; without `initial`, or where that is zero, with what a hash
        draws. All processes give the same but for the ids and the number of unsighted ones.
        """
        sightings = len(id_N) - unsighted if sighted else 0
        self.changes += sightings > 0
        id_N = torch.cat([self._stored(id_N), id_N.new_full((1,), UNKNOWN)])
        asked = Asked.of(id_N, sightings, self._exchange)
        given = told = self._answer(asked, now_ms)
        if self._exchange.world > 1:
            told = _Found(self._exchange.to_owners(given.parts, asked.lengths))
        if initial is not None:
            self._begin_new_rows(asked.inverse_N[:sightings], given, told, initial)
        return self._fetched(asked, given, told)

    def read(self, id_N: Tensor) -> Tensor:
        """The vector of each id, with little effort: [N, M]. No sightings, nothing to train, and
        one process only. Raises ValueError where there are several."""
        if self._exchange.world > 1:
            raise ValueError(f"table {self.name} is shared by {self._exchange.world} processes")
        asked = torch.cat([self._stored(id_N), id_N.new_full((1,), UNKNOWN)])
        row_n = self._shard.ids.find(asked)
        return self._shard.rows.vectors(torch.where(row_n != ABSENT, row_n, row_n[-1])[:-1])

    def _stored(self, id_N: Tensor) -> Tensor:
        """What stands in the table for these ids."""
        return id_N

    def _answer(self, asked: Asked, now_ms: int) -> _Found:
        """Looks up what the processes ask of this one."""
        sent_U2 = torch.stack([asked.id_U, asked.count_U], 1)
        parts = self._exchange.to_owners(sent_U2.split_with_sizes(asked.lengths))
        id_V, count_Q = torch.cat(parts).unbind(1)
        count_V, inverse_Q = count_Q, None
        if len(parts) > 1:
            id_V, inverse_Q = torch.unique(id_V, return_inverse=True)
            count_V = torch.zeros_like(id_V).index_add_(0, inverse_Q, count_Q)
        found_V3 = torch.stack(self._shard.look_up(id_V, count_V, now_ms), 1)
        found_Q3 = found_V3 if inverse_Q is None else found_V3[inverse_Q]
        return _Found(list(found_Q3.split_with_sizes([len(part) for part in parts])))

    def _begin_new_rows(
        self, unique_n: Tensor, given: _Found, told: _Found, initial: Initial
    ) -> None:
        """Lets new rows begin with the mean of what all processes say that they should."""
        sums = self._initial_sums(unique_n, told, initial)
        row_parts = given.new_rows()
        received = self._exchange.to_owners(sums, [len(row_n) for row_n in row_parts])
        row_V, total_VM = _added(row_parts, received)
        vector_RM = self._shard.rows.vector_RM
        mean_VM = (total_VM[:, :-1] / total_VM[:, -1:]).to(vector_RM.dtype)
        says_V = (mean_VM != 0).any(1)
        vector_RM[row_V[says_V]] = mean_VM[says_V]

    def _initial_sums(self, unique_n: Tensor, told: _Found, initial: Initial) -> Sequence[Tensor]:
        """By owner: of each new id the sum of what `initial` says at its places, and how many
        these are, in one more column."""
        is_new_U = told.all_n3[:, 2] == 1
        place_n = is_new_U[unique_n].nonzero().squeeze(1)
        lengths = [len(row_n) for row_n in told.new_rows()]
        sums_nM = torch.zeros(
            (sum(lengths), self.width + 1), dtype=torch.float64, device=unique_n.device
        )
        if len(place_n):
            number_U = is_new_U.cumsum(0) - 1
            said_nM = initial(place_n).detach().double()
            counted_nM = torch.cat([said_nM, said_nM.new_ones((len(place_n), 1))], 1)
            sums_nM.index_add_(0, number_U[unique_n[place_n]], counted_nM)
        return sums_nM.split_with_sizes(lengths)

    def _fetched(self, asked: Asked, given: _Found, told: _Found) -> Fetched:
        """Has vectors sent, and lets ids without a row point at the one that they share.

        Every process asks for that one, and leaves it out where it has no such ids: then it must
        not be trained.
        """
        row_U, first_seen_U, is_new_U = told.all_n3.unbind(1)
        unique_N, with_unknown = asked.inverse_N[:-1], any(told.missing)
        unknown = sum(asked.lengths[: self._unknown_owner])  # the first of its owner's, as below
        if with_unknown:
            is_known_U = row_U != ABSENT
            place_U = is_known_U.cumsum(0) - 1
            place_U = torch.where(is_known_U, place_U, place_U[unknown])
            known_N, inverse_N, row_U = is_known_U[unique_N], place_U[unique_N], row_U[is_known_U]
        else:
            known_N = torch.ones_like(unique_N, dtype=torch.bool)
            inverse_N = unique_N - (unique_N > unknown).long()
            row_U = torch.cat([row_U[:unknown], row_U[unknown + 1 :]])
        parts = self._vectors(given, told, with_unknown=with_unknown)
        vectors_UM = parts[0] if len(parts) == 1 else torch.cat(parts)
        return Fetched(
            vectors_UM.requires_grad_(),
            inverse_N,
            known_N,
            is_new_U[unique_N] == 1,
            first_seen_U[unique_N],
            not with_unknown,
            row_U,
            [len(part) for part in parts],
            self._evictions,
        )

    def _vectors(self, given: _Found, told: _Found, with_unknown: bool) -> list[Tensor]:
        """Vectors of ids with a row, by owner; that of all others is the first of its owner's,
        because ids ascend."""
        sent = [self._shard.rows.vectors(row_n) for row_n in given.rows()]
        parts = self._exchange.to_owners(sent, [len(row_n) for row_n in told.rows()])
        if not with_unknown:
            parts[self._unknown_owner] = parts[self._unknown_owner][1:]
        return parts

    def apply(self, fetched: Fetched, lr: float) -> None:
        """One step of every row that any process has fetched, by the sum of its gradients.

        A fetch without a gradient counts as one of zero. Raises ValueError where ids were evicted
        since the fetch, as its rows may be another id's by now.
        """
        if fetched.evictions != self._evictions:
            raise ValueError(f"table {self.name}: evict() came between fetch() and apply()")
        grad_UM = fetched.vectors_UM.grad
        if grad_UM is None:
            grad_UM = torch.zeros_like(fetched.vectors_UM)
        row_parts = self._exchange.to_owners(fetched.row_U.split_with_sizes(fetched.lengths))
        grad_parts = self._exchange.to_owners(
            grad_UM.split_with_sizes(fetched.lengths), [len(row_n) for row_n in row_parts]
        )
        row_V, total_VM = _added(row_parts, grad_parts)
        self.changes += 1
        self._shard.rows.train(row_V, total_VM.float(), lr)

    def own(self, id_n: Tensor) -> tuple[Tensor, Tensor]:
        """Of these ids, each of which has a row in some process, those that have it in this one, in
        their order, and their vectors."""
        row_n = self._shard.ids.find(self._stored(id_n))
        if self._exchange.world == 1:
            return id_n, self._shard.rows.vectors(row_n)
        return id_n[row_n != ABSENT], self._shard.rows.vectors(row_n[row_n != ABSENT])

    def evict(self, now_ms: int) -> Tensor:
        """Takes their rows from ids that were not seen for too long, or are too many; between
        steps, with the same time in all processes. Returns those that this process held."""
        id_n = self._shard.evict(now_ms)
        self._evictions += 1
        self.changes += 1
        return id_n

    def state(self) -> dict[str, Tensor]:
        """What this process holds: ids, ascending, with their vectors, `m`, `v`, `step`,
        `first_seen`, `last_seen`; and the counters of sightings by cell. Copies."""
        return self._shard.state()

    def load(self, states: Iterable[dict[str, Tensor]]) -> None:
        """Takes over its own part of the states of all processes, however many they were.

        Raises Failure for vectors of another width or another number of counters.
        """
        self._shard.load(states)
        self._evictions += 1
        self.changes += 1


def _added(row_parts: Sequence[Tensor], part_nM: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows without repetition, and the sums of what the processes say of each.

    No part has a row twice. So sums have one order, that of the parts, on every device.
    """
    if len(row_parts) == 1:
        return row_parts[0], part_nM[0]
    row_V, inverse_Q = torch.unique(torch.cat(list(row_parts)), return_inverse=True)
    total_VM = part_nM[0].new_zeros((len(row_V), part_nM[0].shape[1]), dtype=torch.float64)
    inverse_parts = inverse_Q.split_with_sizes([len(row_n) for row_n in row_parts])
    for inverse_n, said_nM in zip(inverse_parts, part_nM, strict=True):
        total_VM.index_add_(0, inverse_n, said_nM.double())
    return row_V, total_VM
