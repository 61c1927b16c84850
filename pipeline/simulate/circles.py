"""Whom each user follows, and how that changes on a visit."""

from dataclasses import dataclass

import numpy as np

from pipeline.simulate.catalogue import Catalogue
from pipeline.simulate.people import People
from pipeline.simulate.platform import Platform
from pipeline.simulate.visits import Sessions, Views

UNFOLLOWS = 0.2  # share of the changes that let somebody go


@dataclass(frozen=True, slots=True)
class Changes:
    """Follows and unfollows of a span: place in Sessions, time in ms, creator; and snapshots."""

    session: list[int]
    time: list[int]
    creator: list[int]
    added: list[bool]
    snapshots: dict[int, list[int]]


class Circles:
    """The creators that each user follows, in the order they were added."""

    def __init__(self) -> None:
        self._following: dict[int, list[int]] = {}

    def forget(self, user: int) -> None:
        """An erased user follows nobody."""
        self._following.pop(user, None)

    def meet(
        self,
        platform: Platform,
        people: People,
        catalogue: Catalogue,
        visits: tuple[Sessions, Views],
        rng: np.random.Generator,
    ) -> Changes:
        """What the visits change, and (by place in Sessions) who tells the whole circle at login.

        The one followed made something seen on that visit; bots follow nobody.
        """
        sessions, views = visits
        count = sessions.user.size
        tells = rng.random(count) < platform.snapshots
        acts = (rng.random(count) < platform.follows) & ~people.bot[sessions.user]
        first = np.cumsum(sessions.contents) - sessions.contents
        seen = first + (rng.random(count) * sessions.contents).astype(np.int64)
        leaves = rng.random((count, 2))
        changes = Changes([], [], [], [], {})
        order = np.argsort(sessions.start, kind="stable")
        for place in order[(tells | acts)[order]].tolist():
            circle = self._following.setdefault(int(sessions.user[place]), [])
            if tells[place]:
                changes.snapshots[place] = list(circle)
            if acts[place]:
                view = int(seen[place])
                maker = int(catalogue.creator[views.item[view]])
                time = int(views.time[view])
                _turn(circle, maker, leaves[place].tolist(), (place, time), changes)
        return changes


def _turn(
    circle: list[int], maker: int, leaves: list[float], where: tuple[int, int], changes: Changes
) -> None:
    """Follow `maker`, or let somebody go: at random, or `maker` if already followed."""
    if circle and leaves[0] < UNFOLLOWS:
        maker = circle[int(leaves[1] * len(circle))]
    added = maker not in circle
    if added:
        circle.append(maker)
    else:
        circle.remove(maker)
    changes.session.append(where[0])
    changes.time.append(where[1])
    changes.creator.append(maker)
    changes.added.append(added)
