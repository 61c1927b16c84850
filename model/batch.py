"""A batch of sequences as tensors, one sequence after the other.

Legend: B sequences of a batch, T tokens of all sequences, E contents, N category ids, B1 = B + 1.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, pairwise

import torch
from torch import Tensor

from model.reader.progress import Progress


@dataclass(frozen=True)
class Category:
    """The ids of a category: those of content e are `ids_N[offsets_E1[e]:offsets_E1[e + 1]]`.

    Both int64. Contents are in the order of their tokens.
    """

    ids_N: Tensor
    offsets_E1: Tensor

    @classmethod
    def joined(cls, parts: "Sequence[Category]") -> "Category":
        """The contents of all parts, in order."""
        return cls(
            torch.cat([part.ids_N for part in parts]),
            _offsets_joined([part.offsets_E1 for part in parts]),
        )

    def part(self, contents: slice) -> "Category":
        """Those of some contents, one after the other."""
        offsets_E1 = self.offsets_E1[contents.start : contents.stop + 1]
        ids_N = self.ids_N[offsets_E1[0] : offsets_E1[-1]]
        return Category(ids_N, offsets_E1 - offsets_E1[0])

    def each(self, change: Callable[[Tensor], Tensor]) -> "Category":
        """The same with both tensors changed."""
        return Category(change(self.ids_N), change(self.offsets_E1))


@dataclass(frozen=True)
class SequenceBatch:
    """B sequences, one after the other, of T tokens with E contents.

    Sequence b has the tokens `offsets_B1[b]:offsets_B1[b + 1]`. A token has a type (0 Φ, 1 a,
    2 + k the k-th feature of the spec), an id (of an a: the bit mask of its actions) and a time
    (ms since 1970). `new_contents_B`: how many contents the session just completed has in the
    row, which are its last ones. `session_end_B` in ms. All tensors are int64 and on one device.
    `progress`: how far reading is with this batch, for `ReaderState.advance`; None where the rows
    came from elsewhere, or from several lanes.
    """

    offsets_B1: Tensor
    type_T: Tensor
    id_T: Tensor
    time_T: Tensor
    new_contents_B: Tensor
    categories: Mapping[str, Category]
    users: tuple[str, ...]
    sequence_ids: tuple[str, ...]
    session_end_B: Tensor
    progress: Progress | None = None

    @property
    def sequences(self) -> int:
        """B."""
        return len(self.users)

    @property
    def tokens(self) -> int:
        """T."""
        return self.type_T.shape[0]

    def tokens_of(self, kind: int) -> Tensor:
        """The tokens of a type: int64, ascending; found once, as a GPU is waited for it."""
        if kind not in self._tokens_of:
            self._tokens_of[kind] = (self.type_T == kind).nonzero().squeeze(1)
        return self._tokens_of[kind]

    @cached_property
    def _tokens_of(self) -> dict[int, Tensor]:
        return {}

    @property
    def contents(self) -> int:
        """E; known without a look at the tensors only where there is a category."""
        for category in self.categories.values():
            return len(category.offsets_E1) - 1
        return int((self.type_T == 0).sum())

    @classmethod
    def empty(cls, categories: Iterable[str]) -> "SequenceBatch":
        """No sequences, of a spec with these categories."""
        none, start = torch.empty(0, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
        nothing = {name: Category(none, start) for name in categories}
        return cls(start, none, none, none, none, nothing, (), (), none)

    @classmethod
    def joined(cls, batches: "Sequence[SequenceBatch]") -> "SequenceBatch":
        """The sequences of one batch or more of one spec, in order, as one without progress."""
        if len(batches) == 1:
            return replace(batches[0], progress=None)
        names = batches[0].categories
        return cls(
            _offsets_joined([batch.offsets_B1 for batch in batches]),
            torch.cat([batch.type_T for batch in batches]),
            torch.cat([batch.id_T for batch in batches]),
            torch.cat([batch.time_T for batch in batches]),
            torch.cat([batch.new_contents_B for batch in batches]),
            {name: Category.joined([b.categories[name] for b in batches]) for name in names},
            tuple(chain.from_iterable(batch.users for batch in batches)),
            tuple(chain.from_iterable(batch.sequence_ids for batch in batches)),
            torch.cat([batch.session_end_B for batch in batches]),
        )

    def apart(self) -> "Iterator[SequenceBatch]":
        """Each sequence of a batch on the CPU by itself, without progress and in memory of its
        own."""
        contents_B1 = torch.searchsorted(self.tokens_of(0), self.offsets_B1).tolist()
        offsets = self.offsets_B1.tolist()
        for b, (start, stop) in enumerate(pairwise(offsets)):
            here, own = slice(start, stop), slice(b, b + 1)
            contents = slice(contents_B1[b], contents_B1[b + 1])
            yield SequenceBatch(
                torch.tensor([0, stop - start]),
                self.type_T[here],
                self.id_T[here],
                self.time_T[here],
                self.new_contents_B[own],
                {name: each.part(contents) for name, each in self.categories.items()},
                self.users[own],
                self.sequence_ids[own],
                self.session_end_B[own],
            ).clone()

    def to(self, device: torch.device | str) -> "SequenceBatch":
        """The batch on a device; from pinned memory the copy does not hold up the CPU."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "SequenceBatch":
        """The batch in memory from which a GPU copies by itself."""
        return self._each(lambda tensor: tensor.pin_memory())

    def clone(self) -> "SequenceBatch":
        """A copy that keeps nothing else in memory."""
        return self._each(lambda tensor: tensor.clone())

    def _each(self, change: Callable[[Tensor], Tensor]) -> "SequenceBatch":
        return replace(
            self,
            offsets_B1=change(self.offsets_B1),
            type_T=change(self.type_T),
            id_T=change(self.id_T),
            time_T=change(self.time_T),
            new_contents_B=change(self.new_contents_B),
            categories={name: each.each(change) for name, each in self.categories.items()},
            session_end_B=change(self.session_end_B),
        )


def _offsets_joined(parts: Sequence[Tensor]) -> Tensor:
    lengths = torch.cat([part.diff() for part in parts])
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
