"""S9: which of a user's contents and feature entries a sequence holds."""

from dataclasses import dataclass

import numpy as np

from transforms.core.arrays import Bools, Ints, is_first, place_in_run, ranges
from transforms.core.entries import Entries


@dataclass(frozen=True, slots=True)
class Held:
    """What each of s sequences holds: contents `oldest` up to, not including, `stop` of its life;
    and entries, as pairs of a sequence and the index of an entry, by sequence and in S2 order."""

    life: Ints
    oldest: Ints
    stop: Ints
    sequence: Ints
    entry: Ints

    @property
    def contents(self) -> Ints:
        """[s] the number of contents."""
        return self.stop - self.oldest

    @property
    def entries(self) -> Ints:
        """[s] the number of feature entries."""
        return np.bincount(self.sequence, minlength=len(self.life))

    @property
    def tokens(self) -> Ints:
        """[s] the number of tokens."""
        return 2 * self.contents + self.entries


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Every entry before the end of each sequence, as pairs with what decides on it."""

    sequence: Ints
    entry: Ints
    at: Ints
    until: Ints
    visible: Bools
    effective: Bools

    def kept(self, oldest: Ints) -> Bools:
        """The pairs that a sequence beginning at content `oldest` [s] holds: after it those that
        are tokens, before it those in effect at it, the head."""
        start = oldest[self.sequence]
        inside = (self.at > start) & self.visible
        return inside | ((self.at <= start) & (self.until > start) & self.effective)


def held(life: Ints, stop: Ints, entries: Entries, until: Ints, contents: int, tokens: int) -> Held:
    """What the sequences of these lives hold that end before content `stop`.

    The newest contents, at most `contents` (N), and only as many as keep the sequence with its
    head at or under `tokens` (M), but at least one; if that is still too much, the oldest head
    entries go. `until` is `superseded_at` of the entries.
    """
    candidates = _before(life, stop, entries, until)
    oldest = _newest_that_fit(candidates, stop, np.maximum(stop - contents, 0), tokens)
    kept = candidates.kept(oldest)
    _drop_head(kept, candidates.sequence, 2 * (stop - oldest), tokens)
    return Held(life, oldest, stop, candidates.sequence[kept], candidates.entry[kept])


def _before(life: Ints, stop: Ints, entries: Entries, until: Ints) -> _Candidates:
    span = max(int(entries.at.max(initial=0)), int(stop.max(initial=0))) + 1
    place = entries.life * span + entries.at
    start = np.searchsorted(place, life * span)
    count = np.searchsorted(place, life * span + stop) - start
    entry = ranges(start, count)
    sequence = np.repeat(np.arange(len(life)), count)
    return _Candidates(
        sequence,
        entry,
        entries.at[entry],
        until[entry],
        entries.visible[entry],
        entries.effective[entry],
    )


def _newest_that_fit(candidates: _Candidates, stop: Ints, oldest: Ints, tokens: int) -> Ints:
    """The earliest start from `oldest` on with which a sequence fits, by bisection: each content
    that goes takes two tokens with it, and its head entries never grow by what it loses."""

    def fits(start: Ints) -> Bools:
        entries = np.bincount(candidates.sequence[candidates.kept(start)], minlength=len(stop))
        return 2 * (stop - start) + entries <= tokens

    high = np.where(fits(oldest), oldest, stop - 1)
    low = oldest
    while (low < high).any():
        middle = (low + high) // 2
        good = fits(middle)
        high = np.where(good, middle, high)
        low = np.where(good, low, np.minimum(middle + 1, high))
    return high


def _drop_head(kept: Bools, sequence: Ints, content_tokens: Ints, tokens: int) -> None:
    """Unmarks the oldest kept entries of sequences that are over the limit with one content."""
    entries = np.bincount(sequence[kept], minlength=len(content_tokens))
    excess = np.maximum(content_tokens + entries - tokens, 0)
    if not excess.any():
        return
    pairs = np.flatnonzero(kept)
    of = sequence[pairs]
    kept[pairs[place_in_run(is_first(of)) < excess[of]]] = False
