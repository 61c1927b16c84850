"""The users of a simulated platform: how active they are, where, on what, and what they like."""

import numpy as np
import polars as pl

from pipeline.simulate.catalogue import TOPICS
from pipeline.simulate.platform import Bools, Ints, Platform

COUNTRIES = pl.Series("country", ["DE", "FR", "US", "BR", "JP", "IN", "NG", "GB"])
LANGUAGES = pl.Series("language", ["de", "fr", "en", "pt", "ja", "hi", "es"])
DEVICES = pl.Series("device", ["phone", "laptop", "tablet", "tv"])
INTERESTS = 3  # of one user at a time
OTHER_DEVICE = 0.1  # share of a user's sessions that are not on the usual device


class People:
    """Users numbered from 0; each array [users] holds what is so of them at the moment.

    `names` are their ids, `bot` says who is none of them, `interests` [users, 3] are topics,
    `met` says who has been seen.
    """

    def __init__(self, platform: Platform, rng: np.random.Generator) -> None:
        count = platform.users
        self.names = pl.Series("user", [f"u{number}" for number in range(1, count + 1)])
        self.bot = rng.random(count) < platform.bots
        self.country = rng.integers(0, COUNTRIES.len(), count)
        self.language = rng.integers(0, LANGUAGES.len(), count)
        self.device = rng.integers(0, DEVICES.len(), count)
        self.interests = rng.integers(0, TOPICS.len(), (count, INTERESTS))
        self.met = np.zeros(count, np.bool_)
        weight = rng.lognormal(0.0, 1.0, count) / np.exp(0.5)
        weight[self.bot] *= platform.bot_rate
        self.weight = float(weight.sum())
        self._reach = np.cumsum(weight) / self.weight

    def draw(self, count: int, rng: np.random.Generator) -> Ints:
        """`count` users, active ones more often, sorted."""
        drawn = np.searchsorted(self._reach, rng.random(count), side="right")
        return np.sort(np.minimum(drawn, self._reach.size - 1)).astype(np.int64)

    def drift(self, share: float, rng: np.random.Generator) -> None:
        """Swap one interest of `share` of the users for another."""
        who = np.flatnonzero(rng.random(self.bot.size) < share)
        which = rng.integers(0, INTERESTS, who.size)
        self.interests[who, which] = rng.integers(0, TOPICS.len(), who.size)

    def usual_devices(self, user: Ints, rng: np.random.Generator) -> Ints:
        """What each session of `user` [n] is on: mostly the usual device."""
        other = rng.random(user.size) < OTHER_DEVICE
        return np.where(other, rng.integers(0, DEVICES.len(), user.size), self.device[user])


def carried(
    state: Ints, user: Ints, choices: int, churn: float, rng: np.random.Generator
) -> tuple[Ints, Bools]:
    """Values of a slow feature over the sessions of `user` [n] (sorted), and where they changed.

    A session draws a new value with the chance `churn`; the others have what was so before.
    `state` [users] is brought up to date.
    """
    drawn = rng.integers(0, choices, user.size)
    changed = rng.random(user.size) < churn
    first = np.ones(user.size, np.bool_)
    first[1:] = user[1:] != user[:-1]
    values = np.where(changed, drawn, state[user])
    source = np.maximum.accumulate(np.where(changed | first, np.arange(user.size), 0))
    values = values[source]
    state[user] = values  # of several sessions of one user, the last assignment stays
    return values, changed
