"""A sequence as a person reads it: what held at its beginning, then session by session."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipeline.demo.names import Names
from schemas.sequences import CONTENT

Row = dict[str, Any]
"""A row of `sequences/`, times as datetimes."""

FEATURE = "▸"


@dataclass
class Session:
    """The lines of a session's tokens; `contents` counts its contents in the sequence."""

    start: datetime
    end: datetime
    lines: list[str] = field(default_factory=list)
    contents: int = 0


@dataclass
class Timeline:
    """A sequence: the feature entries at its head, and its sessions."""

    head: list[str]
    sessions: list[Session]


def timeline(row: Row, starts: Sequence[datetime], names: Names) -> Timeline:
    """The timeline of a sequence; `starts`, ascending, are those of its user's sessions."""
    told = Timeline([], [])
    waiting: list[str] = []
    for place, content in _tokens(row):
        time, number = row["token_time"][place], row["token_id"][place]
        if content is None:
            entry = names.entry(row["token_type"][place], number)
            if told.sessions:
                waiting.append(f"{time:%H:%M:%S}  {FEATURE} {entry}")
            else:
                told.head.append(entry)
            continue
        session = _session_at(told, time, starts)
        session.lines += waiting
        session.lines.append(f"{time:%H:%M:%S}  {_engagement(row, place, content, names)}")
        session.contents += 1
        session.end = time
        waiting = []
    return told


def _tokens(row: Row) -> Iterator[tuple[int, int | None]]:
    """The place of each content, with its number, and of each feature entry, with none."""
    content = 0
    for place, kind in enumerate(row["token_type"]):
        if kind == CONTENT:
            yield place, content
            content += 1
        elif kind > CONTENT + 1:
            yield place, None


def _session_at(told: Timeline, time: datetime, starts: Sequence[datetime]) -> Session:
    """The session of a content at this time, which is the last one or a new one."""
    at = bisect_right(starts, time)
    opened = starts[at - 1] if at else time
    if not told.sessions or told.sessions[-1].end < opened:
        told.sessions.append(Session(time, time))
    return told.sessions[-1]


def _engagement(row: Row, place: int, content: int, names: Names) -> str:
    """`Φ 322  a VIEW+LIKE  creator creator-3, topics topic-7`."""
    pair = f"Φ {names.item(row['token_id'][place])}"
    actions = f"a {names.actions(row['token_id'][place + 1])}"
    known = ((name, row[f"category_{name}"][content]) for name in names.spec.categories)
    about = ", ".join(f"{name} {names.category(name, ids)}" for name, ids in known if ids)
    return f"{pair:<12} {actions:<16} {about}".rstrip()


def told_in_lines(told: Timeline, most_sessions: int = 3, most_lines: int = 14) -> Iterator[str]:
    """A timeline in lines, with what is too much for a person left out and counted."""
    yield f"  at its head    {_some(told.head, 8)}"
    *before, last = told.sessions
    hidden = before[: max(len(before) - most_sessions + 1, 0)]
    if hidden:
        contents = sum(session.contents for session in hidden)
        yield f"  … {_count(len(hidden), 'session')} with {_count(contents, 'content')}"
    for session in before[len(hidden) :]:
        yield from _session_lines(session, "session", most_lines // 3)
    yield from _session_lines(last, "the session just completed", most_lines)


def _session_lines(session: Session, what: str, most: int) -> Iterator[str]:
    when = f"{session.start:%a %d %b %H:%M} to {session.end:%H:%M}"
    yield f"  {what}, {when}: {_count(session.contents, 'content')}"
    shown = session.lines if len(session.lines) <= most + 1 else session.lines[:most]
    yield from (f"    {line}" for line in shown)
    if len(shown) < len(session.lines):
        yield f"    … {_count(len(session.lines) - len(shown), 'line')} more"


def _some(entries: list[str], most: int) -> str:
    more = f" … {len(entries) - most} more" if len(entries) > most else ""
    return (" · ".join(entries[:most]) or "nothing is known yet") + more


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
