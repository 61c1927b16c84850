"""What goes through the model together: new tokens of histories, then candidates, a row each.

All that is said of the rows lies in one piece of memory, so that it comes to a GPU in one copy.

Legend: R rows, T new tokens, Q candidates, R = T + Q, B histories, B1 = B + 1, R1 = R + 1, X most
pages of a history, N blocks of queries, or ids of a category.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kernels.cached_keys import CANDIDATES, TOKENS, Queries
from model.batch import Category

FEW = 1_024
"""New tokens that look for one another in the cache; more are faster among themselves."""

FEWEST = 64
"""Rows of a kind that there is room for, if for any, where sizes are rounded up."""


@dataclass(frozen=True)
class Sizes:
    """How many of everything. `ids` are of each category, `longest` the most new tokens of a
    history, and `grows` whether any with new tokens had others before; asked where they are many.
    """

    tokens: int
    candidates: int
    histories: int
    pages: int
    token_blocks: int
    candidate_blocks: int
    ids: tuple[int, ...]
    longest: int
    grows: bool

    @property
    def rows(self) -> int:
        """R."""
        return self.tokens + self.candidates

    @property
    def many(self) -> bool:
        """Whether there are more than a few new tokens."""
        return self.tokens > FEW

    def rounded(self, most_histories: int) -> "Sizes":
        """Sizes that are no less, of which there are few: with room for one history or for the
        most, for powers of two of rows, and for as many ids as rows, twice as many, and so on."""
        histories = 1 if self.histories == 1 else most_histories
        tokens, candidates = _rounded(self.tokens), _rounded(self.candidates)
        rows = tokens + candidates
        return replace(
            self,
            tokens=tokens,
            candidates=candidates,
            histories=histories,
            token_blocks=tokens // TOKENS + histories if tokens else 0,
            candidate_blocks=candidates // CANDIDATES + histories if candidates else 0,
            ids=tuple(rows << (max(-(-each // rows), 1) - 1).bit_length() for each in self.ids),
            longest=tokens,
            grows=self.grows and tokens > FEW,
        )

    @property
    def words(self) -> int:
        """The int64 that all columns take."""
        return sum(_room(self.longs(), torch.int64)) + sum(_room(self.ints(), torch.int32)) // 2

    def longs(self) -> list[int]:
        """The lengths of columns of int64, as `Rows` has them."""
        of_categories = [length for ids in self.ids for length in (self.rows + 1, ids)]
        return [*[self.rows] * 4, self.tokens, self.histories + 1, *of_categories]

    def ints(self) -> list[int]:
        """The lengths of columns of int32."""
        blocks = [3 * self.token_blocks, 3 * self.candidate_blocks]
        return [*blocks, self.histories * self.pages, self.histories, self.histories]


@dataclass(frozen=True)
class Rows:
    """The columns, views of one piece of memory; int64, but blocks, pages and lengths int32.

    `row_T` is where in the cache new tokens go, `offsets_B1` where those of each history begin. A
    category has an entry for each row. `token_N3` and `candidate_N3` are blocks of `Queries`, each
    kind counted from its own first row. Of each history `length_B` tokens are in the cache or new,
    `before_B` are in the cache.
    """

    sizes: Sizes
    type_R: Tensor
    id_R: Tensor
    time_R: Tensor
    position_R: Tensor
    row_T: Tensor
    offsets_B1: Tensor
    categories: Mapping[str, Category]
    token_N3: Tensor
    candidate_N3: Tensor
    page_BX: Tensor
    length_B: Tensor
    before_B: Tensor

    @classmethod
    def over(cls, memory: Tensor, sizes: Sizes, names: Sequence[str]) -> "Rows":
        """The columns in so many words of memory, with categories of these names."""
        longs = sizes.longs()
        first = sum(_room(longs, torch.int64))
        columns = _columns(memory[:first], longs)
        token_n, candidate_n, page_n, length_B, before_B = _columns(
            memory[first:].view(torch.int32), sizes.ints()
        )
        pairs = zip(names, columns[6::2], columns[7::2], strict=True)
        type_R, id_R, time_R, position_R, row_T, offsets_B1 = columns[:6]
        return cls(
            *(sizes, type_R, id_R, time_R, position_R, row_T, offsets_B1),
            {name: Category(ids_N, offsets_R1) for name, offsets_R1, ids_N in pairs},
            token_n.view(-1, 3),
            candidate_n.view(-1, 3),
            page_n.view(sizes.histories, sizes.pages),
            length_B,
            before_B,
        )

    def tokens(self) -> Queries:
        """New tokens as those who ask."""
        here = slice(0, self.sizes.tokens)
        return Queries(self.token_N3, self.position_R[here], self.time_R[here])

    def candidates(self) -> Queries:
        """Candidates as those who ask."""
        here = slice(self.sizes.tokens, None)
        return Queries(self.candidate_N3, self.position_R[here], self.time_R[here])


def _columns(memory: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    """Views of so many entries each, one after the other."""
    parts = memory.split(_room(lengths, memory.dtype))
    return [part[:length] for part, length in zip(parts, lengths, strict=True)]


def _room(lengths: Sequence[int], kind: torch.dtype) -> list[int]:
    """Entries that columns take, so that each begins at whole 16 bytes: Triton compiles a kernel
    anew for one that does not."""
    whole = 16 // kind.itemsize
    return [-(-length // whole) * whole for length in lengths]


def _rounded(rows: int) -> int:
    return max(FEWEST, 1 << (rows - 1).bit_length()) if rows else 0
