"""S4, S8: the engagements among a shard's final observations, as groups and sessions.

A firing uses up what stands before the first engagement whose session is not complete: the cut.
"""

from dataclasses import dataclass

import numpy as np

from schemas.spec import Spec
from transforms.core.arrays import (
    NEVER,
    Bools,
    Ints,
    flags,
    ints,
    is_first,
    last_true,
    runs,
    sums_before,
    valid,
)
from transforms.core.attribution import leaders
from transforms.core.rows import Rows
from transforms.core.sessions import final_from, session_starts


@dataclass(frozen=True, slots=True)
class Observed:
    """Final observations [n] by life and, of each life, in S2 order.

    `moment` is the row with which the row's time begins, `opening` [lives] that of each life.
    """

    rows: Rows
    life: Ints
    time: Ints
    moment: Ints
    opening: Ints

    @property
    def engages(self) -> Bools:
        """True where the row is an engagement that no earlier group has taken in."""
        return valid(self.rows["item"]) & ~flags(self.rows["joined"])

    @property
    def lives(self) -> int:
        """The number of lives."""
        return len(self.opening)


@dataclass(frozen=True, slots=True)
class Groups:
    """Engagements after S4 [g], each at the row of its first record; `of_row` is the group that
    each engagement row went into, -1 for rows that are none."""

    row: Ints
    life: Ints
    item: Ints
    actions: Ints
    time: Ints
    of_row: Ints


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions [s] as ranges of groups, whether each is complete, and the event time up to which
    observations had to be final for that."""

    first: Ints
    last: Ints
    complete: Bools
    until: Ints

    @property
    def contents(self) -> Ints:
        """[s] the number of contents."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Engaged:
    """Groups and sessions of some observations; which groups are in complete sessions; and the
    cut of each life: its row (past the end where all is complete) and its time (NEVER there)."""

    groups: Groups
    sessions: Sessions
    complete: Bools
    cut: Ints
    cut_time: Ints

    def features_used(self, seen: Observed) -> Bools:
        """[n] True for the rows whose features this firing uses up: they stand before the cut."""
        used: Bools = seen.time <= self.cut_time[seen.life]
        return used

    def records_used(self, seen: Observed) -> Bools:
        """[n] True for the rows whose engagement, if any, stands before the cut."""
        used: Bools = np.arange(len(seen.life)) < self.cut[seen.life]
        return used


def engaged(seen: Observed, spec: Spec, final: int) -> Engaged:
    """The groups, sessions and cuts of observations that are final up to time `final`."""
    groups = _grouped(seen, spec.attribution)
    sessions = _in_sessions(seen, groups, spec, final)
    cut = np.full(seen.lives, len(seen.life))
    first = groups.row[sessions.first[~sessions.complete]][::-1]
    cut[seen.life[first]] = first  # of several in a life the earliest, which comes last here
    complete = np.repeat(sessions.complete, sessions.contents)
    return Engaged(groups, sessions, complete, cut, np.append(seen.time, NEVER)[cut])


def _grouped(seen: Observed, window: int) -> Groups:
    """S4: the groups that the engagements make, with the union of their actions."""
    row = np.flatnonzero(seen.engages)
    item, actions = ints(seen.rows["item"])[row], ints(seen.rows["actions"])[row]
    leader = leaders(seen.life[row], item, seen.time[row], window)
    opens = leader == np.arange(len(row))
    number = (np.cumsum(opens) - 1)[leader]
    united = actions[opens]
    np.bitwise_or.at(united, number[~opens], actions[~opens])
    of_row = np.full(len(seen.life), -1)
    of_row[row] = number
    first = row[opens]
    return Groups(first, seen.life[first], item[opens], united, seen.time[first], of_row)


def _in_sessions(seen: Observed, groups: Groups, spec: Spec, final: int) -> Sessions:
    """S8: the sessions of the groups, complete where nothing after `final` can change them."""
    gap, limit = spec.session.gap, spec.session.max_contents
    end = flags(seen.rows["end"])
    ends_before = sums_before(end)[seen.moment[groups.row]]
    starts = session_starts(groups.life, groups.time, ends_before, gap, limit)
    first, lengths = runs(starts)
    last = first + lengths - 1
    closing = _first_end_after(seen, np.flatnonzero(end), ends_before[last], groups.life[last])
    until = final_from(groups.time[last], lengths, closing, gap, spec.attribution, limit)
    return Sessions(first, last, until <= final, until)


def _first_end_after(seen: Observed, end_rows: Ints, before: Ints, life: Ints) -> Ints:
    """The time of the end mark that `before` others precede, NEVER where it is of another life."""
    when = np.full(len(life), NEVER)
    there = np.flatnonzero(before < len(end_rows))
    row = end_rows[before[there]]
    own = seen.life[row] == life[there]
    when[there[own]] = seen.time[row[own]]
    return when


def observed(rows: Rows, life: Ints) -> Observed:
    """Final observations in S2 order with the numbers of their lives."""
    time = ints(rows["time"])
    moment = last_true(is_first(life, time))
    return Observed(rows, life, time, moment, np.flatnonzero(is_first(life)))
