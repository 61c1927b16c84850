"""The visits of a span of time: who comes when, sees what, and how long."""

from dataclasses import dataclass

import numpy as np

from pipeline.simulate.catalogue import Catalogue
from pipeline.simulate.clock import moments
from pipeline.simulate.people import COUNTRIES, LANGUAGES, People, carried
from pipeline.simulate.platform import Bools, Ints, Platform

MAX_CONTENTS = 1_000  # of one visit
CANDIDATES = 4  # items a user is offered at a time; one that meets an interest is taken
NO_DEVICE = 0.02  # share of visits whose device is not known
SCROLLS = 0.05  # share of view records that are mere scrolling
_DWELL_MS = (9.5, 1.0)  # log-normal: median 13 s, mean 22 s
_BOT_DWELL_MS = 1_000


@dataclass(frozen=True, slots=True)
class Sessions:
    """n visits, by user and start: `number` over the whole run, `start` and `end` in ms.

    `device` is -1 where it is not known; `greeted` says where `language` has to be told.
    """

    number: Ints
    user: Ints
    start: Ints
    end: Ints
    contents: Ints
    country: Ints
    language: Ints
    device: Ints
    greeted: Bools


@dataclass(frozen=True, slots=True)
class Views:
    """m contents seen; `session` is the place in Sessions, `time` and `dwell` are in ms."""

    number: Ints
    session: Ints
    time: Ints
    dwell: Ints
    item: Ints
    liked: Bools
    scroll: Bools


def visit(
    platform: Platform,
    people: People,
    catalogue: Catalogue,
    span: tuple[float, float],
    first: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[Sessions, Views]:
    """The visits that begin in a span of activity; `first` numbers the session and the view."""
    mean = platform.sessions_a_day * people.weight * (span[1] - span[0])
    user = people.draw(int(rng.poisson(mean)), rng)
    start = platform.start + moments(rng.uniform(*span, user.size))
    start = start[np.lexsort((start, user))]
    contents = np.minimum(rng.geometric(1 / platform.contents, user.size), MAX_CONTENTS)
    views = _views(people, catalogue, user, start, contents, first[1], rng)
    last = np.cumsum(contents) - 1
    end = views.time[last] + views.dwell[last]
    return _sessions(platform, people, (user, start, end, contents), first[0], rng), views


def _sessions(
    platform: Platform,
    people: People,
    spans: tuple[Ints, Ints, Ints, Ints],
    first: int,
    rng: np.random.Generator,
) -> Sessions:
    user, start, end, contents = spans
    country, _ = carried(people.country, user, COUNTRIES.len(), platform.churn, rng)
    language, changed = carried(people.language, user, LANGUAGES.len(), platform.churn, rng)
    device = people.usual_devices(user, rng)
    device[rng.random(user.size) < NO_DEVICE] = -1
    new = np.zeros(user.size, np.bool_)
    new[np.unique(user, return_index=True)[1]] = True
    greeted = changed | (new & ~people.met[user])
    people.met[user] = True
    number = np.arange(first, first + user.size)
    return Sessions(number, user, start, end, contents, country, language, device, greeted)


def _views(
    people: People,
    catalogue: Catalogue,
    user: Ints,
    start: Ints,
    contents: Ints,
    first: int,
    rng: np.random.Generator,
) -> Views:
    session = np.repeat(np.arange(user.size), contents)
    viewer = user[session]
    dwell = rng.lognormal(*_DWELL_MS, session.size).astype(np.int64)
    dwell[people.bot[viewer]] = _BOT_DWELL_MS
    passed = np.cumsum(dwell) - dwell
    before = passed[np.cumsum(contents) - contents]
    item, liked = _choose(people, catalogue, viewer, rng)
    return Views(
        number=np.arange(first, first + session.size),
        session=session,
        time=start[session] + passed - before[session] + 1,
        dwell=dwell,
        item=item,
        liked=liked,
        scroll=rng.random(session.size) < SCROLLS,
    )


def _choose(
    people: People, catalogue: Catalogue, viewer: Ints, rng: np.random.Generator
) -> tuple[Ints, Bools]:
    """Of a few popular items the first that meets an interest of the viewer; whether it does."""
    offered = catalogue.pick(rng.random((viewer.size, CANDIDATES)))
    interests = people.interests[viewer]
    meets = (catalogue.topic[offered][:, :, None] == interests[:, None, :]).any(axis=2)
    taken = meets.argmax(axis=1)
    row = np.arange(viewer.size)
    return offered[row, taken], meets[row, taken]
