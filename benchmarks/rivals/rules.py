"""The rules as a Beam user would write them: one user's events, plain Python values, no columns.

Left out are sets, end marks, session maxima, erasure, retention, thinning, and M.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import xxhash

from schemas.fingerprint import fingerprint
from schemas.ids import canonical_json
from schemas.observations import source_names
from schemas.spec import Spec

Event = tuple[int, str, int, int | None, int, tuple[int | None, ...], tuple[list[int], ...]]
"""Time, event_id, source, item, actions, the scalars (None: not observed), and the categories."""


@dataclass
class History:
    """What is held of a user: tokens as flat lists, the place of each content among them, each
    content's categories, the last value of each scalar (absent: none yet), and the raw tokens."""

    kind: list[int] = field(default_factory=list)
    id: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    contents: list[int] = field(default_factory=list)
    categories: list[tuple[list[int], ...]] = field(default_factory=list)
    values: dict[int, int] = field(default_factory=dict)
    raw: int = 0

    def add(self, kind: int, identity: int, time: int) -> None:
        """One more token."""
        self.kind.append(kind)
        self.id.append(identity)
        self.time.append(time)

    def shorten(self, newest: int) -> None:
        """S9: keeps the newest contents, and of the entries before them those in effect."""
        gone = len(self.contents) - newest
        if gone <= 0:
            return
        start = self.contents[gone]
        last = {kind: place for place, kind in enumerate(self.kind[:start]) if kind > 1}
        head = sorted(last.values())
        for tokens in (self.kind, self.id, self.time):
            tokens[:start] = [tokens[place] for place in head]
        shift = start - len(head)
        self.contents = [place - shift for place in self.contents[gone:]]
        del self.categories[:gone]


class Group:
    """Engagements that attribution made one; `sized` is its session's length where it ends one."""

    __slots__ = ("actions", "session", "time")

    def __init__(self, time: int, actions: int) -> None:
        self.time = time
        self.actions = actions
        self.session: tuple[Event, int] | None = None


def in_order(events: Iterable[Event]) -> list[Event]:
    """S2, S3: by time, event_id and source, without copies."""
    ordered: list[Event] = []
    for event in sorted(events, key=lambda event: event[:3]):
        if not ordered or ordered[-1][:3] != event[:3]:
            ordered.append(event)
    return ordered


class Cutter:
    """Cuts a user's complete sessions out of its buffered events and extends its history."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._sources = source_names(spec)
        self._fingerprint = fingerprint(spec)

    def cut(
        self, user: str, buffered: Iterable[Event], history: History, final: int
    ) -> tuple[list[dict[str, Any]], list[Event]]:
        """The rows of what is complete when all up to `final` is, and the events that wait on.

        The history takes in what stands before the first session that is not complete.
        """
        events = in_order(buffered)
        groups = self._grouped(events)
        until = self._in_sessions(events, groups, final)
        rows: list[dict[str, Any]] = []
        place = 0
        while place < len(events) and events[place][0] < until:
            moment = place + 1
            while moment < len(events) and events[moment][0] == events[place][0]:
                moment += 1
            self._observe(events[place:moment], history)
            for each in range(place, moment):
                rows += self._engage(user, events[each], groups.get(each), history)
            place = moment
        history.shorten(self._spec.history.contents)
        return rows, events[place:]

    def _grouped(self, events: list[Event]) -> dict[int, Group]:
        """S4: the groups, by the place of the event that opens each."""
        window = self._spec.attribution
        latest: dict[int, Group] = {}
        groups = {}
        for place, (time, _, _, item, actions, _, _) in enumerate(events):
            if item is None:
                continue
            group = latest.get(item)
            if window and group is not None and time - group.time <= window:
                group.actions |= actions
            else:
                groups[place] = latest[item] = Group(time, actions)
        return groups

    def _in_sessions(self, events: list[Event], groups: Mapping[int, Group], final: int) -> int:
        """S8: tells the last group of each complete session of it, and returns the time up to
        which events are used up."""
        gap = self._spec.session.gap
        first, size, before = 0, 0, None
        for place, group in groups.items():
            if before is not None and group.time - before.time > gap:
                before.session = events[first], size
                size = 0
            if not size:
                first = place
                if group.time + gap > final:
                    return group.time
            size += 1
            before = group
        if before is None:
            return final + 1
        if before.time + gap > final:
            return events[first][0]
        before.session = events[first], size
        return final + 1

    def _observe(self, moment: list[Event], history: History) -> None:
        """S5: the feature observations of one time, which come before its engagements."""
        for feature in range(len(self._spec.features)):
            for event in moment:
                value = event[5][feature]
                if value is None:
                    continue
                history.raw += 1
                if history.values.get(feature) != value:
                    history.values[feature] = value
                    history.add(2 + feature, value, event[0])

    def _engage(
        self, user: str, event: Event, group: Group | None, history: History
    ) -> list[dict[str, Any]]:
        """S7: an engagement's two tokens; and the row of the session that ends with it."""
        if event[3] is None:
            return []
        history.raw += 2
        if group is None:
            return []
        history.contents.append(len(history.kind))
        history.categories.append(event[6])
        history.add(0, event[3], group.time)
        history.add(1, group.actions, group.time)
        return [] if group.session is None else [self._row(user, group, *group.session, history)]

    def _row(
        self, user: str, last: Group, first: Event, size: int, history: History
    ) -> dict[str, Any]:
        """S9 to S11: the sequence of a completed session."""
        history.shorten(self._spec.history.contents)
        identity = canonical_json([user, self._sources[first[2]], first[1], first[0]])
        return {
            "user_id": user,
            "sequence_id": xxhash.xxh3_128_hexdigest(identity.encode()),
            "session_start": first[0],
            "session_end": last.time,
            "token_type": history.kind[:],
            "token_id": history.id[:],
            "token_time": history.time[:],
            "contents": len(history.contents),
            "new_contents": size,
            "raw_tokens": history.raw,
            "spec": self._fingerprint,
            **{
                f"category_{name}": [each[k] for each in history.categories]
                for k, name in enumerate(self._spec.categories)
            },
        }
