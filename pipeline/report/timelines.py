"""Timelines of some users: session by session what came in, and what of it was kept.

The folder has what was kept; of what was left out it has the number, `raw_tokens`, whose growth
from one sequence of a user to the next is what came in between. What that was, the files say that
the run read, where they are given.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa

from pipeline.demo.names import Names, texts_of
from pipeline.demo.timeline import Row, timeline
from pipeline.extras import needs
from pipeline.report.came import Came, RawEntry, came_in, ids_of
from pipeline.report.folder import Folder, ReportError
from pipeline.report.people import living

QUANTILES = (0.0, 0.1, 0.5, 0.9)
"""Which users are shown: those at these places, from the longest sequence to the shortest."""
MOST_SESSIONS, MOST_LINES, MOST_HEAD, MOST_RAW = 6, 24, 40, 60


@dataclass(frozen=True)
class Told:
    """A session: what came in since the session before, in tokens (None: not known), what was
    kept, and the lines of what was kept; `hidden` lines are not there. `came` are the raw entries,
    where they are known, without `came_hidden` others."""

    start: datetime
    end: datetime
    raw: int | None
    kept: int
    lines: Sequence[str]
    hidden: int
    came: Sequence[RawEntry] = ()
    came_hidden: int = 0


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


def people_told(folder: Folder, users: Sequence[str], events: Path | None = None) -> list[Person]:
    """The timelines of users; with raw entries where the files are given that the run read.

    Raises ReportError for a user who has no sequence, and for files that are not those of the run.
    """
    there = living(folder).filter(pl.col("user_id").is_in(users))
    rows = there.sort("session_end", "sequence_id").collect()
    seen = _observed(folder, users, events)
    names = Names(folder.spec, _texts(folder, rows, seen))
    came = None if seen is None else came_in(seen, folder.spec, names)
    told: list[Person] = []
    for user in users:
        mine = rows.filter(pl.col("user_id") == user)
        if mine.is_empty():
            raise ReportError(f"user {user}: has no sequence in {folder.path}")
        if came is not None:
            _check(mine, came.get(user, []), events)
        told.append(_told(mine, names, None if came is None else came[user]))
    return told


def _observed(folder: Folder, users: Sequence[str], events: Path | None) -> pa.Table | None:
    if events is None:
        return None
    with needs("pipeline"):
        from pipeline.report.events import observations

    return observations(folder.spec, events, users)


def _texts(folder: Folder, rows: pl.DataFrame, seen: pa.Table | None) -> dict[tuple[str, int], str]:
    """The texts of what is in some sequences and observations, of the dictionary, which may be
    large."""
    ids = [rows["token_id"].explode().abs()]
    ids += [rows[name].explode().explode() for name in rows.columns if name.startswith("category_")]
    if seen is not None:
        ids.append(pl.Series(ids_of(seen, folder.spec)))
    known = pl.concat([each.cast(pl.Int64).alias("id") for each in ids]).drop_nulls().unique()
    return texts_of(folder.scan("dictionary").filter(pl.col("id").is_in(known.implode())).collect())


def _check(rows: pl.DataFrame, came: Sequence[Came], events: Path | None) -> None:
    """Raises ReportError where the sequences of a user are not made of these events."""
    by = {each.sequence_id: each.raw_tokens for each in came}
    for name, raw in rows.select("sequence_id", "raw_tokens").iter_rows():
        if by.get(name) != raw:
            raise ReportError(
                f"--events={events}: are not what the run read: user {rows['user_id'][0]} has "
                f"another sequence {name} by them"
            )


def _told(rows: pl.DataFrame, names: Names, came: Sequence[Came] | None) -> Person:
    """A user, by all sequences in order of time, or by all sessions where they are known."""
    newest: Row = rows.row(-1, named=True)
    starts, added = rows["session_start"].to_list(), grown(rows["raw_tokens"].to_list())
    if came is not None:
        starts, added = [each.start for each in came], [each.tokens for each in came]
    whole = timeline(newest, starts, names)
    sessions = []
    for session in whole.sessions[-MOST_SESSIONS:]:
        at = bisect_right(starts, session.start) - 1
        lines = session.lines[:MOST_LINES]
        raw = added[at] if at >= 0 else None
        kept = session.contents + len(session.lines)
        hidden = len(session.lines) - len(lines)
        entries = came[at].entries if came is not None else []
        more = max(0, len(entries) - MOST_RAW)
        of = (session.start, session.end, raw, kept, lines, hidden, entries[:MOST_RAW], more)
        sessions.append(Told(*of))
    return Person(
        newest["user_id"],
        len(newest["token_type"]),
        newest["raw_tokens"],
        whole.head[:MOST_HEAD],
        max(0, len(whole.head) - MOST_HEAD),
        len(whole.sessions) - len(sessions),
        sessions,
    )


def grown(raw_tokens: Sequence[int]) -> list[int]:
    """What each of a user's sequences adds to the raw tokens of the one before; all it has, where
    a history begins anew."""
    before = [0, *raw_tokens[:-1]]
    return [now - was if now >= was else now for was, now in zip(before, raw_tokens, strict=True)]
