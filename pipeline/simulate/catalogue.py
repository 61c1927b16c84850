"""The items of a simulated platform: who made them, what they are about, how popular they are."""

import numpy as np
import polars as pl

from pipeline.simulate.platform import Floats, Ints, Platform

_PASTIMES = ["music", "film", "games", "books", "sport", "travel", "garden", "pets"]
_AFFAIRS = ["news", "science", "food", "fashion", "cars", "design", "health", "money"]
TOPICS = pl.Series("topic", [*_PASTIMES, *_AFFAIRS])
ITEM_TOPICS = 3  # at most, of one item


class Catalogue:
    """Items numbered from 0, growing each day; an item's popularity falls as others join above it.

    `creator` and `topic` (the main one) [items] are numbers, `price` and `ctr` [items] are figures,
    `topics` is the list of topic names of each item.
    """

    def __init__(self, platform: Platform, rng: np.random.Generator) -> None:
        self._zipf = platform.zipf
        self.creators = pl.Series(
            "creator", [f"creator-{n}" for n in range(1, max(platform.items // 20, 1) + 1)]
        )
        self.creator = np.empty(0, np.int64)
        self.topic = np.empty(0, np.int64)
        self.price = np.empty(0, np.float64)
        self.ctr = np.empty(0, np.float64)
        self.topics = pl.Series("topics", [], pl.List(pl.String))
        self._ranked = np.empty(0, np.int64)
        self._reach = np.empty(0, np.float64)
        self.grow(platform.items, rng)

    def grow(self, count: int, rng: np.random.Generator) -> None:
        """Add `count` items at random ranks."""
        old = self.creator.size
        new = np.arange(old, old + count)
        makers = (rng.random(count) ** 2 * self.creators.len()).astype(np.int64)
        subjects = rng.integers(0, TOPICS.len(), (count, ITEM_TOPICS))
        self.creator = np.concatenate([self.creator, makers])
        self.topic = np.concatenate([self.topic, subjects[:, 0]])
        self.price = np.concatenate([self.price, np.round(rng.lognormal(2.5, 1.2, count), 2)])
        self.ctr = np.concatenate([self.ctr, np.round(rng.beta(2, 40, count), 4)])
        self.topics = pl.concat([self.topics, _named(subjects, rng)])
        self._ranked = np.insert(self._ranked, rng.integers(0, old + 1, count), new)
        weight = 1.0 / np.arange(1, self._ranked.size + 1) ** self._zipf
        self._reach = np.cumsum(weight) / weight.sum()

    def pick(self, draws: Floats) -> Ints:
        """The item that each uniform draw from [0, 1) falls on, popular ones more often."""
        rank = np.searchsorted(self._reach, draws, side="right")
        picked: Ints = self._ranked[np.minimum(rank, self._ranked.size - 1)]
        return picked


def _named(subjects: Ints, rng: np.random.Generator) -> pl.Series:
    """The first one to three of each item's `subjects` [items, 3] by name, without repeats."""
    kept = rng.integers(1, ITEM_TOPICS + 1, len(subjects))
    rows = np.repeat(np.arange(len(subjects)), kept)
    nth = np.arange(rows.size) - np.repeat(np.cumsum(kept) - kept, kept)
    frame = pl.DataFrame({"row": rows, "topics": TOPICS.gather(subjects[rows, nth])})
    grouped = frame.group_by("row", maintain_order=True).agg(
        pl.col("topics").unique(maintain_order=True)
    )
    return grouped["topics"]
