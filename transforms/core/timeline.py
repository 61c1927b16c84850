"""S7: contents, their actions and the feature entries, interleaved into tokens."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.sequences import ACTION, CONTENT
from transforms.core.arrays import Ints, ranges, sums_before
from transforms.core.entries import Entries
from transforms.core.history import Held


@dataclass(frozen=True, slots=True)
class Contents:
    """Engagements [n] by life, in S2 order: content Φ, its set of actions a, and their time."""

    life: Ints
    item: Ints
    actions: Ints
    time: Ints


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of s sequences one after the other; sequence i has offsets[i]:offsets[i + 1]."""

    kind: npt.NDArray[np.int16]
    id: Ints
    time: Ints
    offsets: Ints


def content_rows(held: Held, first_row: Ints) -> Ints:
    """The rows of the contents that the sequences hold; `first_row` [s] is that of content 0."""
    return ranges(first_row + held.oldest, held.contents)


def interleave(held: Held, rows: Ints, contents: Contents, entries: Entries) -> Tokens:
    """The tokens of the sequences: an entry stands before the content that it precedes in S2
    order, each content is followed by its actions. `rows` are `content_rows`."""
    offsets = sums_before(held.tokens)
    kind = np.full(offsets[-1], CONTENT, np.int16)
    ids = np.empty(offsets[-1], np.int64)
    times = np.empty(offsets[-1], np.int64)

    content, entry = _places(held, entries.at[held.entry], len(rows))
    ids[content], times[content] = contents.item[rows], contents.time[rows]
    action = content + 1
    kind[action], ids[action], times[action] = ACTION, contents.actions[rows], times[content]
    kind[entry] = entries.kind[held.entry]
    ids[entry], times[entry] = entries.id[held.entry], entries.time[held.entry]
    return Tokens(kind, ids, times, offsets)


def _places(held: Held, at: Ints, contents: int) -> tuple[Ints, Ints]:
    """Where the contents of all sequences go, and where the entries: each after two tokens for
    every content, and one for every entry, that stand before it."""
    start = sums_before(held.contents)[held.sequence]
    following = start + np.maximum(at - held.oldest[held.sequence], 0)
    entries_before = np.cumsum(np.bincount(following, minlength=contents))
    content = 2 * np.arange(contents) + entries_before
    return content, 2 * following + np.arange(len(following))
