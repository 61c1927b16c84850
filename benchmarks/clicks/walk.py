"""Users walk through the platform: engagements by the rule, each with the truth about it.

All users take their n-th content at once; times are each user's own. A record tells the country
that the user is in now. A model that is asked for the next content has not seen that record, so the
truth about the content is by the country before; that about the actions is by the country now.

Legend: U users, I items, C topics.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from benchmarks.clicks.rule import (
    AWAY,
    BREAK,
    BRIEF,
    COUNTRIES,
    MOVES,
    TOPICS,
    Floats,
    Ints,
    Seen,
    World,
    click_and_like,
    click_expected,
    click_logit,
    favoured_after,
    next_content,
    world,
)

START = 1_735_689_600_000
"""2025-01-01 in ms, when the first users come."""

ACTIONS = ("CLICK", "LIKE")
_PAUSES = (0.55, 0.20, 0.25)
_PAUSE_MS = ((5_000, 60_000), (300_000, 1_200_000), (7_200_000, 100_000_000))
_COME_MS = 14 * 86_400_000
_USERS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Walk:
    """How much is made: `engagements` of `users`, among so many items."""

    engagements: int = 200_000
    users: int = 2_000
    items: int = 500
    seed: int = 0


def walked(walk: Walk) -> pl.DataFrame:
    """All engagements in the order of their times; the same for the same walk.

    Columns: `event_id`, `user`, `time` (ms), `item`, `topic`, `country` (from 1), `actions` (bits,
    as of the a token); and the truth: `click`, `like` (probabilities), `log_probability` and `rank`
    (from 1) of the content among those that would come and be clicked. These two are null at a
    user's first content, for which no model is asked.
    """
    rng = np.random.default_rng(walk.seed)
    of = world(walk.items, rng)
    users = np.arange(walk.users)
    lengths = np.sort(_lengths(walk, rng))[::-1]
    parts = []
    for begin in range(0, walk.users, _USERS_AT_ONCE):
        some = slice(begin, begin + _USERS_AT_ONCE)
        parts += _walk(of, users[some], lengths[some], rng)
    return pl.concat(parts).sort("time", "user")


def _lengths(walk: Walk, rng: np.random.Generator) -> Ints:
    """Contents of each user: between half and one and a half of the mean, adding up exactly."""
    share = rng.uniform(0.5, 1.5, walk.users)
    ends = np.rint(np.cumsum(share) / share.sum() * walk.engagements).astype(np.int64)
    lengths: Ints = np.diff(ends, prepend=0)
    return lengths


def _walk(of: World, user: Ints, lengths: Ints, rng: np.random.Generator) -> list[pl.DataFrame]:
    """All steps of some users, of whom the first has the most."""
    time = START + rng.integers(0, _COME_MS, len(user))
    seen, parts = _newcomers(len(user), rng), []
    for step in range(lengths[0]):
        active = int((lengths > step).sum())
        seen = _paused(_first(seen, active), rng)
        pause = np.array(_PAUSE_MS)[seen.pause_U]
        time = time[:active] + (rng.integers(pause[:, 0], pause[:, 1]) if step else 0)
        part, seen = _engaged(of, seen, rng)
        parts.append(
            part.select(
                pl.Series("event_id", [f"{number}-{step}" for number in user[:active]]),
                pl.Series("user", user[:active]).cast(pl.String),
                pl.Series("time", time),
                pl.all(),
            )
        )
    return parts


def _newcomers(users: int, rng: np.random.Generator) -> Seen:
    country_U = rng.integers(0, COUNTRIES, users)
    nothing_U, none_UC = np.zeros(users, np.int64), np.zeros((users, TOPICS), np.int64)
    return Seen(nothing_U - 1, nothing_U > 0, nothing_U, none_UC, country_U, nothing_U + AWAY)


def _first(seen: Seen, active: int) -> Seen:
    return Seen(*(getattr(seen, name)[:active] for name in Seen.__slots__))


def _paused(seen: Seen, rng: np.random.Generator) -> Seen:
    """After the next pause. Being away ends the session, and what it did."""
    pause_U = rng.choice([BRIEF, BREAK, AWAY], len(seen.last_U), p=_PAUSES)
    pause_U[seen.last_U < 0] = AWAY
    goes_on_U = (pause_U != AWAY).astype(np.int64)
    return replace(
        seen,
        pause_U=pause_U,
        mood_U=seen.mood_U * goes_on_U,
        counts_UC=seen.counts_UC * goes_on_U[:, None],
    )


def _engaged(of: World, seen: Seen, rng: np.random.Generator) -> tuple[pl.DataFrame, Seen]:
    """One content of each user with the truth about it, and what is seen after it."""
    next_UI, logit_UI = next_content(of, seen), click_logit(of, seen)
    item_U = _drawn(next_UI, rng)
    clicked_UI = next_UI * click_expected(logit_UI, favoured_after(of, seen)[:, of.topic_I])
    log_probability_U, rank_U = _truth(clicked_UI, item_U)
    country_U, rows = _moved(seen, rng), np.arange(len(item_U))
    favoured_U = of.favours_GC[country_U, of.topic_I[item_U]]
    click_U, like_U = click_and_like(logit_UI[rows, item_U], favoured_U, of.quality_I[item_U])
    draw_U = rng.random(len(item_U))
    clicks_U, likes_U = draw_U < click_U, draw_U < like_U
    part = pl.DataFrame(
        {
            "item": item_U + 1,
            "topic": of.topic_I[item_U] + 1,
            "country": country_U + 1,
            "actions": clicks_U + 2 * likes_U,
            "click": click_U,
            "like": like_U,
            "log_probability": log_probability_U,
            "rank": rank_U,
        }
    )
    asked = pl.Series(seen.last_U >= 0)
    part = part.with_columns(pl.when(asked).then(pl.col("log_probability", "rank")))
    counts_UC = seen.counts_UC.copy()
    counts_UC[rows, of.topic_I[item_U]] += 1
    mood_U = np.where(clicks_U, 1, -1)
    return part, Seen(item_U, clicks_U, mood_U, counts_UC, country_U, seen.pause_U)


def _moved(seen: Seen, rng: np.random.Generator) -> Ints:
    """The countries now; who has moved is in any of the others."""
    moves_U = (seen.pause_U == AWAY) & (seen.last_U >= 0)
    moves_U &= rng.random(len(moves_U)) < MOVES
    by_U = np.where(moves_U, rng.integers(1, COUNTRIES, len(moves_U)), 0)
    country_U: Ints = (seen.country_U + by_U) % COUNTRIES
    return country_U


def _drawn(probability_UI: Floats, rng: np.random.Generator) -> Ints:
    """An item of each row by its probabilities."""
    reach_UI = probability_UI.cumsum(axis=1)
    draw_U1 = rng.random((len(reach_UI), 1)) * reach_UI[:, -1:]
    item_U: Ints = (reach_UI <= draw_U1).sum(axis=1)
    return item_U


def _truth(weight_UI: Floats, item_U: Ints) -> tuple[Floats, Ints]:
    """Log-probability of each row's item by the row's weights, and its rank from 1."""
    own_U = weight_UI[np.arange(len(item_U)), item_U]
    rank_U: Ints = 1 + (weight_UI > own_U[:, None]).sum(axis=1)
    return np.log(own_U / weight_UI.sum(axis=1)), rank_U
