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
    kind = np.empty(offsets[-1], np.int16)
    ids = np.empty(offsets[-1], np.int64)
    times = np.empty(offsets[-1], np.int64)

    places = _entry_places(held, entries.at[held.entry], offsets)
    kind[places] = entries.kind[held.entry]
    ids[places] = entries.id[held.entry]
    times[places] = entries.time[held.entry]

    free = np.ones(offsets[-1], bool)
    free[places] = False
    content, action = np.flatnonzero(free).reshape(-1, 2).T
    kind[content], kind[action] = CONTENT, ACTION
    ids[content], ids[action] = contents.item[rows], contents.actions[rows]
    times[content] = times[action] = contents.time[rows]
    return Tokens(kind, ids, times, offsets)


def _entry_places(held: Held, at: Ints, offsets: Ints) -> Ints:
    """Where each entry goes: after the entries before it, and two tokens a content before it."""
    rank = np.arange(len(held.entry)) - sums_before(held.entries)[held.sequence]
    before = np.maximum(at - held.oldest[held.sequence], 0)
    places: Ints = offsets[held.sequence] + rank + 2 * before
    return places
