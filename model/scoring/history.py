"""Histories as they are scored: one sequence each, its parts, and what two of them share.

Legend: T tokens, E contents, M candidates of a request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from model.batch import Category, SequenceBatch
from schemas.sequences import ACTION, CONTENT


@dataclass(frozen=True)
class Request:
    """Which actions a user would take on each of some contents, if shown at `now_ms`.

    `history` is one sequence on the CPU, as readers give it, or none at all. `candidate_M` are
    ids of contents (int64), `categories` those of the candidates; one that is not named is empty.
    """

    user: str
    history: SequenceBatch
    candidate_M: Tensor
    now_ms: int
    categories: Mapping[str, Category] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.candidate_M)

    def check(self, longest: int) -> None:
        """Raises ValueError for more than one history, one of too many tokens, and for categories
        of another number of candidates."""
        if self.history.sequences > 1:
            raise ValueError(f"{self.history.sequences} histories; must be one a request")
        if self.history.tokens > longest:
            raise ValueError(f"a history of {self.history.tokens} tokens; at most {longest}")
        for name, category in self.categories.items():
            if (found := len(category.offsets_E1) - 1) != len(self):
                raise ValueError(f"category {name} of {found} candidates; there are {len(self)}")

    def part(self, start: int, stop: int) -> "Request":
        """The same of some of the candidates."""
        parts = {name: _part(each, start, stop) for name, each in self.categories.items()}
        return replace(self, candidate_M=self.candidate_M[start:stop], categories=parts)


def contents_of(
    request: Request, start: int, stop: int, categories: tuple[str, ...]
) -> SequenceBatch:
    """Some of a request's candidates as contents at its time: a batch of one sequence."""
    id_M = request.candidate_M[start:stop]
    return _sequence(
        torch.full_like(id_M, CONTENT),
        id_M,
        torch.full_like(id_M, request.now_ms),
        {name: category_of(request, name, start, stop) for name in categories},
        request.user,
    )


def category_of(request: Request, name: str, start: int, stop: int) -> Category:
    """A category of some of a request's candidates; empty where it is not named."""
    if name in request.categories:
        return _part(request.categories[name], start, stop)
    none_M = request.candidate_M.new_zeros(stop - start + 1)
    return Category(none_M[:0], none_M)


def joined(history: SequenceBatch, more: SequenceBatch) -> SequenceBatch:
    """A history and what follows it, as one sequence."""
    both = SequenceBatch.joined([history, more])
    return _sequence(both.type_T, both.id_T, both.time_T, both.categories, more.users[0])


def part_of(history: SequenceBatch, start: int, stop: int) -> SequenceBatch:
    """Some tokens of a history, one after the other; with least effort, of its last ones."""
    here = slice(start, stop)
    last = history.contents - int((history.type_T[stop:] == CONTENT).sum())
    first = last - int((history.type_T[here] == CONTENT).sum())
    return _sequence(
        history.type_T[here],
        history.id_T[here],
        history.time_T[here],
        {name: _part(each, first, last) for name, each in history.categories.items()},
        "".join(history.users),
    )


def without_features(history: SequenceBatch) -> SequenceBatch:
    """The contents and actions of a history alone."""
    kept_T = history.type_T <= ACTION
    return replace(
        history,
        offsets_B1=_ends(int(kept_T.sum())),
        type_T=history.type_T[kept_T],
        id_T=history.id_T[kept_T],
        time_T=history.time_T[kept_T],
    )


def shared_tokens(one: SequenceBatch, other: SequenceBatch) -> int:
    """How many tokens two histories have in common before they first differ.

    What a model makes of a token depends on it and on those before it, and on nothing else.
    """
    if _begins_with(other, one):
        return one.tokens
    length = min(one.tokens, other.tokens)
    columns = ((one.type_T, other.type_T), (one.id_T, other.id_T), (one.time_T, other.time_T))
    same_T = torch.stack([x[:length] == y[:length] for x, y in columns]).all(0)
    tokens = _leading(same_T)
    is_content_T = one.type_T[:tokens] == CONTENT
    contents = int(is_content_T.sum())
    alike = min(
        (
            _shared(one.categories[name], other.categories[name], contents)
            for name in one.categories
        ),
        default=contents,
    )
    if alike == contents:
        return tokens
    return int(is_content_T.nonzero()[alike])


def _begins_with(history: SequenceBatch, known: SequenceBatch) -> bool:
    """Whether a history begins with all tokens of another: quickly, as it mostly does."""
    columns = [(history.type_T, known.type_T), (history.id_T, known.id_T)]
    columns.append((history.time_T, known.time_T))
    for name, category in known.categories.items():
        other = history.categories[name]
        columns += [(other.offsets_E1, category.offsets_E1), (other.ids_N, category.ids_N)]
    return all(torch.equal(whole[: len(first)], first) for whole, first in columns)


def _shared(one: Category, other: Category, contents: int) -> int:
    """How many of the first contents have the same ids of a category before one has others."""
    same_E = one.offsets_E1[: contents + 1] == other.offsets_E1[: contents + 1]
    ends_E1 = one.offsets_E1[: _leading(same_E)]
    length = int(ends_E1[-1])
    same = _leading(one.ids_N[:length] == other.ids_N[:length])
    return int((ends_E1 <= same).sum()) - 1


def _leading(same_N: Tensor) -> int:
    """How many are true before the first that is not."""
    differs_n = (~same_N).nonzero()
    return int(differs_n[0]) if len(differs_n) else len(same_N)


def _sequence(
    type_T: Tensor, id_T: Tensor, time_T: Tensor, categories: Mapping[str, Category], user: str
) -> SequenceBatch:
    return SequenceBatch(
        _ends(len(type_T)), type_T, id_T, time_T, torch.zeros(1, dtype=torch.int64),
        categories, (user,), ("",), torch.zeros(1, dtype=torch.int64),
    )  # fmt: skip


def _part(category: Category, first: int, last: int) -> Category:
    offsets_E1 = category.offsets_E1[first : last + 1]
    return Category(
        category.ids_N[int(offsets_E1[0]) : int(offsets_E1[-1])], offsets_E1 - offsets_E1[0]
    )


def _ends(tokens: int) -> Tensor:
    return torch.tensor([0, tokens])
