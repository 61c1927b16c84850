"""New tokens and candidates as rows: which go together, and how they are written to memory.

Legend: as in rows.py; E contents of all rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from kernels.cached_keys import CANDIDATES, TOKENS, Queries
from model.batch import Category, SequenceBatch
from model.scoring.history import Request, category_of
from model.scoring.rows import Rows, Sizes
from schemas.sequences import CONTENT

NEW_TOKENS = 32_768
"""Of histories that are computed in one pass, unless one alone has more."""


@dataclass(frozen=True)
class New:
    """Tokens of the history of a number, from a position on; and where in the cache they
    go."""

    number: int
    start: int
    tokens: SequenceBatch
    row_T: Tensor

    def __len__(self) -> int:
        return self.tokens.tokens


@dataclass(frozen=True)
class Part:
    """Some candidates, from one number up to another, of the request of a history."""

    number: int
    request: Request
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Pass:
    """New tokens and candidates that go through the model together, each in order of histories."""

    new: Sequence[New]
    parts: Sequence[Part]


def passes(new: Sequence[New], requests: Sequence[Request], microbatch: int) -> Iterator[Pass]:
    """All new tokens before any candidates, but that the last of them go with the first of these,
    at most so many candidates at a time."""
    *before, last = [*_together(new)] or [[]]
    for each in before:
        yield Pass(each, [])
    first, *rest = [*microbatches(requests, microbatch)] or [[]]
    if last or first:
        yield Pass(last, first)
    for parts in rest:
        yield Pass([], parts)


def microbatches(requests: Sequence[Request], most: int) -> Iterator[list[Part]]:
    """The candidates of all requests in order, at most so many at a time."""
    starts = list(accumulate(map(len, requests), initial=0))
    for first in range(0, starts[-1], most):
        last = min(first + most, starts[-1])
        yield [
            Part(number, request, max(first - start, 0), min(last - start, len(request)))
            for number, (start, request) in enumerate(zip(starts, requests, strict=False))
            if max(first, start) < min(last, start + len(request))
        ]


def _together(new: Sequence[New]) -> Iterator[list[New]]:
    """Histories whose new tokens are computed together."""
    some: list[New] = []
    tokens = 0
    for each in new:
        if some and tokens + len(each) > NEW_TOKENS:
            yield some
            some, tokens = [], 0
        some.append(each)
        tokens += len(each)
    if some:
        yield some


class Packing:
    """A pass of histories in pages, with `lengths` of tokens; with categories of these names."""

    def __init__(
        self,
        each: Pass,
        page_BX: Tensor,
        lengths: Sequence[int],
        names: Sequence[str],
    ) -> None:
        self._pass, self._page_BX, self._lengths = each, page_BX, lengths
        self._new_B, self._asked_B = [0] * len(lengths), [0] * len(lengths)
        self._before_B = list(lengths)
        for new in each.new:
            self._new_B[new.number] = len(new)
            self._before_B[new.number] = new.start
        for part in each.parts:
            self._asked_B[part.number] = len(part)
        self._token_blocks = Queries.blocks(self._new_B, TOKENS)
        self._candidate_blocks = Queries.blocks(self._asked_B, CANDIDATES)
        self._categories = {name: self._category(name) for name in names}

    def _category(self, name: str) -> Category:
        """A category of all contents, in order of rows."""
        parts = [new.tokens.categories[name] for new in self._pass.new]
        parts += [category_of(p.request, name, p.start, p.stop) for p in self._pass.parts]
        return Category.joined(parts)

    @property
    def sizes(self) -> Sizes:
        """How many of everything there are."""
        return Sizes(
            tokens=sum(self._new_B),
            candidates=sum(self._asked_B),
            histories=len(self._lengths),
            pages=self._page_BX.shape[1],
            token_blocks=len(self._token_blocks),
            candidate_blocks=len(self._candidate_blocks),
            ids=tuple(len(category.ids_N) for category in self._categories.values()),
            longest=max(self._new_B),
            grows=any(new.start > 0 for new in self._pass.new),
        )

    def into(self, rows: Rows) -> None:
        """Writes all to rows, of which there may be more: those are in no history."""
        tokens, asked = sum(self._new_B), sum(self._asked_B)
        if tokens:
            self._write_tokens(rows, tokens)
        if asked:
            self._write_candidates(rows, rows.sizes.tokens, asked)
        histories = slice(0, len(self._lengths))
        rows.offsets_B1.numpy()[1:] = tokens
        rows.offsets_B1.numpy()[1:][histories] = list(accumulate(self._new_B))
        for name, category in self._categories.items():
            self._write_category(rows, rows.categories[name], category, tokens, asked)
        rows.token_N3.numpy()[: len(self._token_blocks)] = self._token_blocks
        rows.candidate_N3.numpy()[: len(self._candidate_blocks)] = self._candidate_blocks
        rows.page_BX[histories] = self._page_BX
        rows.length_B.numpy()[histories] = self._lengths
        rows.before_B.numpy()[histories] = self._before_B

    def _write_tokens(self, rows: Rows, count: int) -> None:
        new = self._pass.new
        torch.cat([each.tokens.type_T for each in new], out=rows.type_R[:count])
        torch.cat([each.tokens.id_T for each in new], out=rows.id_R[:count])
        torch.cat([each.tokens.time_T for each in new], out=rows.time_R[:count])
        torch.cat([each.row_T for each in new], out=rows.row_T[:count])
        positions = [torch.arange(each.start, each.start + len(each)) for each in new]
        torch.cat(positions, out=rows.position_R[:count])

    def _write_candidates(self, rows: Rows, first: int, count: int) -> None:
        """Candidates are contents, which is type 0, as all rows are at first."""
        ids = [part.request.candidate_M[part.start : part.stop] for part in self._pass.parts]
        torch.cat(ids, out=rows.id_R[first : first + count])
        position_R, time_R = rows.position_R.numpy(), rows.time_R.numpy()
        for part in self._pass.parts:
            here = slice(first, first + len(part))
            position_R[here] = part.request.history.tokens
            time_R[here] = part.request.now_ms
            first += len(part)

    def _write_category(
        self, rows: Rows, to: Category, category: Category, tokens: int, asked: int
    ) -> None:
        """An entry for each row from one for each content."""
        first, contents = rows.sizes.tokens, len(category.offsets_E1) - 1
        count_E = category.offsets_E1.diff().numpy()
        count_R = to.offsets_E1.numpy()[1:]
        count_R[first : first + asked] = count_E[contents - asked :]
        is_content_T = rows.type_R.numpy()[:tokens] == CONTENT
        count_R[:tokens][is_content_T] = count_E[: contents - asked]
        count_R.cumsum(out=count_R)
        to.ids_N[: len(category.ids_N)] = category.ids_N
