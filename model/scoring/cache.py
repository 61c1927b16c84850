"""Keys and values of users' histories, kept from request to request in a bounded number of bytes.

They lie in pages of one pool. A user's entry says of which tokens his are, so that they serve
whatever history begins with the same tokens, as far as it does. Who was asked for longest ago goes
first.

Legend: S blocks of the model, R rows of all pages, H heads, D width of a key head, V of a value
head, B users, X most pages of a user.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.batch import SequenceBatch
from model.config import Blocks
from model.scoring.history import part_of, shared_tokens
from schemas.failures import UsageError

PAGE = 64
"""Tokens of a page."""

NOWHERE = 0
"""A row of the first page, which nobody has: what is not wanted is written there."""

COUNTED = ("hits", "misses", "outdated", "evicted", "tokens_kept", "tokens_new")
"""Histories of which something was there, and nothing; entries that did not hold any more, and that
had to make room; tokens whose keys and values were there, and were computed."""


@dataclass
class _Entry:
    """What is kept of a user: the tokens whose keys and values are there, and the pages."""

    tokens: SequenceBatch
    pages: list[int] = field(default_factory=list)


class KeyCache:
    """Room for `most_bytes` of keys, values and times, of histories of at most `longest` tokens.

    Raises UsageError where not even the longest history has room. For one thread.
    """

    def __init__(
        self, shape: Blocks, longest: int, most_bytes: int, kind: torch.dtype, device: torch.device
    ) -> None:
        width = shape.heads * (shape.query_width + shape.value_width)
        self.page_bytes = PAGE * (shape.blocks * width * kind.itemsize + 8)
        self.pages, self.most_pages = most_bytes // self.page_bytes - 1, _pages(longest)
        if self.pages < self.most_pages:
            least = (1 + self.most_pages) * self.page_bytes
            raise UsageError(
                f"a cache of {most_bytes:,} bytes does not hold the longest history, of "
                f"{longest:,} tokens: it needs {least:,} bytes"
            )
        rows = (1 + self.pages) * PAGE
        empty = torch.empty(0, dtype=kind, device=device)
        self.k_SRHD = empty.new_empty(shape.blocks, rows, shape.heads, shape.query_width)
        self.v_SRHV = empty.new_empty(shape.blocks, rows, shape.heads, shape.value_width)
        self.time_R = empty.new_empty(rows, dtype=torch.int64)
        self._counts: Counter[str] = Counter()
        self._free = list(range(1, 1 + self.pages))
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def of_block(self, number: int) -> tuple[Tensor, Tensor]:
        """The keys and values of a block, [R, H, D] and [R, H, V]."""
        return self.k_SRHD[number], self.v_SRHV[number]

    def figures(self) -> dict[str, float]:
        """Users, bytes of the pool and of the pages that users have, and what was counted."""
        used = (self.pages - len(self._free)) * self.page_bytes
        size = self.k_SRHD.nbytes + self.v_SRHV.nbytes + self.time_R.nbytes
        counted = {name: float(self._counts[name]) for name in COUNTED}
        return {"users": len(self), "bytes": size, "bytes_used": used, **counted}

    def pages_of(self, history: SequenceBatch) -> int:
        """How many pages a history takes."""
        return _pages(history.tokens)

    def claim(self, histories: Mapping[str, SequenceBatch]) -> dict[str, int]:
        """Makes room for these users' histories, which must have it together, and gives how many
        of the first tokens of each are there. The others' must be written and then `kept`."""
        known = {user: self._known(user, history) for user, history in histories.items()}
        wanted = {
            user: _pages(history.tokens) - len(self._entries[user].pages)
            for user, history in histories.items()
        }
        self._make_room(sum(wanted.values()))
        for user, pages in wanted.items():
            self._entries[user].pages += [self._free.pop() for _ in range(pages)]
        return known

    def keep(self, histories: Mapping[str, SequenceBatch]) -> None:
        """Keys and values of these users' histories have been written, all of them."""
        for user, history in histories.items():
            entry = self._entries[user]
            if entry.tokens.tokens < history.tokens:
                entry.tokens = history.clone()

    def rows(self, user: str, start: int, stop: int) -> Tensor:
        """Where a user's tokens from one number up to another are: int64, on the CPU."""
        first = start // PAGE
        page_x1 = torch.tensor(self._entries[user].pages[first:], dtype=torch.int64).unsqueeze(1)
        row_n = (page_x1 * PAGE + torch.arange(PAGE)).flatten()
        return row_n[start - first * PAGE : stop - first * PAGE]

    def table(self, users: Iterable[str]) -> Tensor:
        """The pages of users, int32 [B, X], on the CPU; 0 where there are none."""
        users = list(users)
        page_BX = torch.zeros(len(users), self.most_pages, dtype=torch.int32)
        for b, user in enumerate(users):
            pages = self._entries[user].pages
            page_BX[b, : len(pages)] = torch.tensor(pages, dtype=torch.int32)
        return page_BX

    def forget(self) -> None:
        """All entries are outdated: other weights have come."""
        self._counts["outdated"] += len(self._entries)
        for user in list(self._entries):
            self._drop(user)

    def _known(self, user: str, history: SequenceBatch) -> int:
        """Cuts a user's entry down to what his history begins with, and makes it the newest."""
        if user not in self._entries:
            self._entries[user] = _Entry(part_of(history, 0, 0))
        entry = self._entries[user]
        self._entries.move_to_end(user)
        shared = shared_tokens(entry.tokens, history)
        self._counts["outdated"] += shared < min(entry.tokens.tokens, history.tokens)
        self._counts["hits"] += shared > 0
        self._counts["misses"] += shared == 0
        self._counts["tokens_kept"] += shared
        self._counts["tokens_new"] += history.tokens - shared
        if shared < entry.tokens.tokens:
            entry.tokens = part_of(history, 0, shared)
        kept = _pages(history.tokens)
        self._free += entry.pages[kept:]
        del entry.pages[kept:]
        return shared

    def _make_room(self, pages: int) -> None:
        while len(self._free) < pages:
            self._counts["evicted"] += 1
            self._drop(next(iter(self._entries)))

    def _drop(self, user: str) -> None:
        self._free += self._entries.pop(user).pages


def _pages(tokens: int) -> int:
    return -(-tokens // PAGE)
