"""Timelines of some users: session by session what came in, and what of it was kept.

The folder has what was kept; of what was left out it has the number, `raw_tokens`, whose growth
from one sequence of a user to the next is what came in between.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from pipeline.demo.names import Names, texts_of
from pipeline.demo.timeline import Row, timeline
from pipeline.report.folder import Folder, ReportError
from pipeline.report.people import living

QUANTILES = (0.0, 0.1, 0.5, 0.9)
"""Which users are shown: those at these places, from the longest sequence to the shortest."""
MOST_SESSIONS, MOST_LINES, MOST_HEAD = 6, 24, 40


@dataclass(frozen=True)
class Told:
    """A session: what came in since the session before, in tokens (None: not known), what was
    kept, and the lines of what was kept; `hidden` lines are not there."""

    start: datetime
    end: datetime
    raw: int | None
    kept: int
    lines: Sequence[str]
    hidden: int


@dataclass(frozen=True)
class Person:
    """The newest sequence of a user; `earlier` sessions of it are not told."""

    user: str
    tokens: int
    raw_tokens: int
    head: Sequence[str]
    head_hidden: int
    earlier: int
    sessions: Sequence[Told]


def some_users(users: pl.DataFrame) -> list[str]:
    """A few users of different lengths; `users` are sorted by it."""
    last = users.height - 1
    places = {round(share * last) for share in QUANTILES} if users.height else set()
    return [users["user_id"][place] for place in sorted(places)]


def people_told(folder: Folder, users: Sequence[str]) -> list[Person]:
    """The timelines of users. Raises ReportError for one who has no sequence."""
    there = living(folder).filter(pl.col("user_id").is_in(users))
    rows = there.sort("session_end", "sequence_id").collect()
    told = []
    for user in users:
        mine = rows.filter(pl.col("user_id") == user)
        if mine.is_empty():
            raise ReportError(f"user {user}: has no sequence in {folder.path}")
        told.append(_told(mine, Names(folder.spec, _texts(folder, mine))))
    return told


def _texts(folder: Folder, rows: pl.DataFrame) -> dict[tuple[str, int], str]:
    """The texts of what is in some sequences, of the dictionary, which may be large."""
    ids = [rows["token_id"].explode().abs()]
    ids += [rows[name].explode().explode() for name in rows.columns if name.startswith("category_")]
    known = pl.concat([each.cast(pl.Int64).alias("id") for each in ids]).drop_nulls().unique()
    return texts_of(folder.scan("dictionary").filter(pl.col("id").is_in(known.implode())).collect())


def _told(rows: pl.DataFrame, names: Names) -> Person:
    """A user, by all sequences in order of time."""
    newest: Row = rows.row(-1, named=True)
    starts, came = rows["session_start"].to_list(), came_in(rows["raw_tokens"].to_list())
    whole = timeline(newest, starts, names)
    sessions = []
    for session in whole.sessions[-MOST_SESSIONS:]:
        at = bisect_right(starts, session.start) - 1
        lines = session.lines[:MOST_LINES]
        raw = came[at] if at >= 0 else None
        kept = session.contents + len(session.lines)
        hidden = len(session.lines) - len(lines)
        sessions.append(Told(session.start, session.end, raw, kept, lines, hidden))
    return Person(
        newest["user_id"],
        len(newest["token_type"]),
        newest["raw_tokens"],
        whole.head[:MOST_HEAD],
        max(0, len(whole.head) - MOST_HEAD),
        len(whole.sessions) - len(sessions),
        sessions,
    )


def came_in(raw_tokens: Sequence[int]) -> list[int]:
    """What each of a user's sequences adds to the raw tokens of the one before; all it has, where
    a history begins anew."""
    before = [0, *raw_tokens[:-1]]
    return [now - was if now >= was else now for was, now in zip(before, raw_tokens, strict=True)]
