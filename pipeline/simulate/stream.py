"""The platform's records slice by slice, in the order in which they arrive."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.simulate.catalogue import Catalogue
from pipeline.simulate.circles import Circles
from pipeline.simulate.clock import moments, slices
from pipeline.simulate.fates import ARRIVAL, SOURCES
from pipeline.simulate.faults import spoil
from pipeline.simulate.people import People
from pipeline.simulate.platform import DAY, Ints, Platform
from pipeline.simulate.records import (
    erasure_records,
    profile_records,
    reaction_records,
    session_records,
    view_records,
)
from pipeline.simulate.visits import visit

Frames = dict[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Slice:
    """What arrives in a span of time: a frame for each source, by arrival; and the share done."""

    frames: Frames
    done: float

    def height(self) -> int:
        """Records of all sources together."""
        return sum(frame.height for frame in self.frames.values())

    def order(self) -> tuple[Ints, Ints]:
        """All records by arrival: the number of each one's source and its row there."""
        heights = [frame.height for frame in self.frames.values()]
        source = np.repeat(np.arange(len(heights)), heights)
        row = np.concatenate([np.arange(height) for height in heights])
        arrival = np.concatenate([frame[ARRIVAL].to_numpy() for frame in self.frames.values()])
        order = np.argsort(arrival, kind="stable")
        return source[order], row[order]

    def head(self, count: int) -> "Slice":
        """The first `count` records to arrive."""
        source, _ = self.order()
        kept = np.bincount(source[:count], minlength=len(self.frames)).tolist()
        pairs = zip(self.frames.items(), kept, strict=True)
        return Slice({name: frame.head(rows) for (name, frame), rows in pairs}, 1.0)


def arrivals(platform: Platform) -> Iterator[Slice]:
    """Everything that arrives, in order: the same for the same platform, byte for byte.

    A slice's records all arrive before the next one's.
    """
    if platform.events is None:
        yield from _in_order(platform)
        return
    left = platform.events
    for part in _in_order(platform):
        if part.height() >= left:
            yield part.head(left)
            return
        left -= part.height()
        yield Slice(part.frames, 1 - left / platform.events)


def _in_order(platform: Platform) -> Iterator[Slice]:
    """Slices cut at the arrival before which no later slice can have anything."""
    world = _World(platform)
    waiting: Frames = {}
    for number, span in enumerate(slices(platform)):
        rng = np.random.default_rng((platform.seed, number + 1))
        made = {
            name: spoil(frame, SOURCES[name], platform, rng)
            for name, frame in world.happen(span, rng).items()
        }
        waiting = {
            name: pl.concat([waiting[name], frame]).sort(ARRIVAL, maintain_order=True)
            if name in waiting
            else frame
            for name, frame in made.items()
        }
        until = platform.start + int(moments(np.array([span[1]]))[0])
        cut = {name: int((frame[ARRIVAL] < until).sum()) for name, frame in waiting.items()}
        done = min((until - platform.start) / (platform.days * DAY), 1.0)
        yield Slice({name: frame[: cut[name]] for name, frame in waiting.items()}, done)
        waiting = {name: frame[cut[name] :] for name, frame in waiting.items()}
    yield Slice(waiting, 1.0)


class _World:
    """The platform as it stands between slices."""

    def __init__(self, platform: Platform) -> None:
        rng = np.random.default_rng((platform.seed, 0))
        self._platform = platform
        self._people = People(platform, rng)
        self._catalogue = Catalogue(platform, rng)
        self._circles = Circles()
        self._day = 0
        self._sessions = 1
        self._views = 1

    def happen(self, span: tuple[float, float], rng: np.random.Generator) -> Frames:
        """The sound records of all that begins in a span of activity."""
        self._age(span, rng)
        people, catalogue = self._people, self._catalogue
        first = self._sessions, self._views
        sessions, views = visits = visit(self._platform, people, catalogue, span, first, rng)
        self._sessions += sessions.number.size
        self._views += views.number.size
        changes = self._circles.meet(self._platform, people, catalogue, visits, rng)
        ends = np.flatnonzero(rng.random(sessions.number.size) < self._platform.logouts)
        return {
            "views": view_records(people, catalogue, sessions, views),
            "reactions": reaction_records(people, catalogue, sessions, views, rng),
            "profile": profile_records(people, catalogue, sessions, changes),
            "sessions": session_records(people, catalogue, sessions, changes, ends),
            "erasures": self._erase(span, rng),
        }

    def _age(self, span: tuple[float, float], rng: np.random.Generator) -> None:
        """New items for each day begun, and interests that drift."""
        while self._day < int(span[0]):
            self._day += 1
            self._catalogue.grow(self._platform.new_items_a_day, rng)
        self._people.drift(self._platform.drift * (span[1] - span[0]), rng)

    def _erase(self, span: tuple[float, float], rng: np.random.Generator) -> pl.DataFrame:
        mean = self._platform.erasures * self._platform.users * (span[1] - span[0])
        user = rng.integers(0, self._platform.users, rng.poisson(mean))
        time = self._platform.start + moments(rng.uniform(*span, user.size))
        for who in user.tolist():
            self._circles.forget(who)
        return erasure_records(self._people, user, time)
