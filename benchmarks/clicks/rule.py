"""The rule of a small platform: which content comes next, and what is done with it.

Everything that decides is in the user's history, where a model can see it: the country (a slow
feature that says which topics are favoured), the last content and whether it was clicked, the time
since, and what was seen in this session. So the probabilities here are the best that can be known.

Next comes, by weights that depend on the pause and on the last click, one of three followers of
the last content; a content of its topic; or one of the topics that the country favours. A click
depends on the content's quality, on whether its topic is favoured, on how often the topic was seen
in this session, on the click before it, and on whether the content follows the one before it.

Legend: U users, I items, C topics, G countries, W followers of an item, R the three pauses,
B whether the last content was clicked.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TOPICS, COUNTRIES, FAVOURED = 20, 8, 3
BRIEF, BREAK, AWAY = 0, 1, 2
"""Pauses before a content: up to a minute; five to twenty minutes; hours, in another session."""

MOVES = 0.1
"""How often a user is in another country after being away."""

_FOLLOWS_W = np.array([0.5, 0.3, 0.2])
_FAVOURED_SHARE = 0.85
_THREAD_RB = np.array([[0.20, 0.75], [0.10, 0.20], [0.05, 0.05]])
_TOPIC_RB = np.array([[0.15, 0.10], [0.15, 0.65], [0.05, 0.05]])
"""Weights by pause, and by whether the last content was not or was clicked; the rest is country."""

_CLICK, _LIKE = -0.3, -0.6
_IS_FAVOURED, _IS_NOT = 1.6, -1.0
_SEEN, _MOST_SEEN = -0.8, 4
_MOOD, _FOLLOWER = 1.0, 0.9


@dataclass(frozen=True, slots=True)
class World:
    """Items, numbered from 0, and what countries favour.

    `share_I` is the probability of an item among those of its topic, `follower_IW` the items that
    follow it, `favours_GC` the topics favoured, `topic_share_GC` their probabilities.
    """

    topic_I: Ints
    share_I: Floats
    quality_I: Floats
    follower_IW: Ints
    favours_GC: Bools
    topic_share_GC: Floats


@dataclass(frozen=True, slots=True)
class Seen:
    """What of the users' histories decides: `last_U` is -1 where nothing came before.

    `mood_U` is 1 or -1 for a click or none just before in this session, 0 at its beginning;
    `counts_UC` are contents of each topic in this session.
    """

    last_U: Ints
    clicked_U: Bools
    mood_U: Ints
    counts_UC: Ints
    country_U: Ints
    pause_U: Ints


def world(items: int, rng: np.random.Generator) -> World:
    """A world of so many items; every item follows three others."""
    topic_I = np.arange(items) % TOPICS
    appeal_I = rng.lognormal(0.0, 0.7, items)
    favours_GC = np.zeros((COUNTRIES, TOPICS), np.bool_)
    for favours_C in favours_GC:
        favours_C[rng.choice(TOPICS, FAVOURED, replace=False)] = True
    return World(
        topic_I,
        appeal_I / np.bincount(topic_I, appeal_I)[topic_I],
        rng.normal(0.0, 0.7, items),
        np.stack([(np.arange(items) + step) % items for step in _steps(items, rng)], axis=1),
        favours_GC,
        np.where(favours_GC, _FAVOURED_SHARE / FAVOURED, 0.0) + (1 - _FAVOURED_SHARE) / TOPICS,
    )


def _steps(items: int, rng: np.random.Generator) -> Ints:
    """Three distances at which an item's followers are: different, and none of them zero."""
    return 1 + rng.choice(items - 1, len(_FOLLOWS_W), replace=False)


def next_content(of: World, seen: Seen) -> Floats:
    """[U, I]: the probability of each item to come next."""
    was_there_U = seen.last_U >= 0
    by = (seen.pause_U, seen.clicked_U.astype(np.int64))
    thread_U = np.where(was_there_U, _THREAD_RB[by], 0.0)
    topic_U = np.where(was_there_U, _TOPIC_RB[by], 0.0)
    share_UC = (1 - thread_U - topic_U)[:, None] * of.topic_share_GC[seen.country_U]
    rows = np.arange(len(seen.last_U))
    share_UC[rows, of.topic_I[seen.last_U]] += topic_U
    probability_UI = share_UC[:, of.topic_I] * of.share_I
    probability_UI[rows[:, None], of.follower_IW[seen.last_U]] += thread_U[:, None] * _FOLLOWS_W
    return probability_UI


def click_logit(of: World, seen: Seen) -> Floats:
    """[U, I]: the log-odds of a click on each item, but for what its topic being favoured adds."""
    logit_UC = _CLICK + _SEEN * np.minimum(seen.counts_UC, _MOST_SEEN)
    logit_UC = logit_UC + _MOOD * seen.mood_U[:, None]
    logit_UI: Floats = logit_UC[:, of.topic_I] + of.quality_I
    rows = np.flatnonzero(seen.last_U >= 0)
    logit_UI[rows[:, None], of.follower_IW[seen.last_U[rows]]] += _FOLLOWER
    return logit_UI


def click_expected(logit_UI: Floats, favoured_UI: Floats) -> Floats:
    """[U, I]: the probability of a click where items are favoured with some probability."""
    liked_UI, other_UI = sigmoid(logit_UI + _IS_FAVOURED), sigmoid(logit_UI + _IS_NOT)
    return other_UI + favoured_UI * (liked_UI - other_UI)


def click_and_like(logit_U: Floats, favoured_U: Bools, quality_U: Floats) -> tuple[Floats, Floats]:
    """[U] each: the probabilities of a click and of a like, which only a click can have with it."""
    step_U = np.where(favoured_U, _IS_FAVOURED, _IS_NOT)
    click_U = sigmoid(logit_U + step_U)
    return click_U, click_U * sigmoid(_LIKE + step_U + quality_U)


def favoured_after(of: World, seen: Seen) -> Floats:
    """[U, C]: the probability that a topic is favoured at the next content, before it is seen
    whether the user has moved."""
    here_UC = of.favours_GC[seen.country_U].astype(np.float64)
    elsewhere_UC = (of.favours_GC.sum(axis=0) - here_UC) / (COUNTRIES - 1)
    moves_U1 = np.where((seen.pause_U == AWAY) & (seen.last_U >= 0), MOVES, 0.0)[:, None]
    favoured_UC: Floats = (1 - moves_U1) * here_UC + moves_U1 * elsewhere_UC
    return favoured_UC


def sigmoid(x: Floats) -> Floats:
    """The probability of log-odds."""
    probability: Floats = 1 / (1 + np.exp(-x))
    return probability
