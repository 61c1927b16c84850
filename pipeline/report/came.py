"""What came in of some users, entry by entry, and what became of each: the rules made visible."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from pipeline.demo.names import Names
from schemas.observations import SET_PARTS, source_names
from schemas.sequences import FIRST_FEATURE
from schemas.spec import Spec
from transforms.core.arrays import Ints, ints
from transforms.core.contents import contents_schema
from transforms.core.cut import Tally, cut
from transforms.core.identity import sequence_id
from transforms.core.ledger import empty_ledger
from transforms.core.shard import EVER

AS_BEFORE, NO_CHANGE = "as before", "no change"
_AFTER_FEATURES = 1 << 15
_SIGNS = {"add": "+", "remove": "-", "snapshot": "="}


What = tuple[str, int, str]
"""The text, tokens and reason of a raw entry."""


@dataclass(frozen=True)
class RawEntry:
    """What one raw token, or the two of an engagement, said, when and by which source; and why
    nothing was kept of it: it was, where that is empty."""

    time: datetime
    source: str
    text: str
    tokens: int
    left_out: str = ""


@dataclass(frozen=True)
class Came:
    """The session of a sequence, drawn or not: its start, the raw entries since the session before
    in S2 order, without copies, and the raw tokens of the history up to its end."""

    sequence_id: str
    start: datetime
    entries: list[RawEntry]
    raw_tokens: int

    @property
    def tokens(self) -> int:
        """The raw tokens that came in."""
        return sum(entry.tokens for entry in self.entries)


def came_in(observations: pa.Table, spec: Spec, names: Names) -> dict[str, list[Came]]:
    """What came in of each user, session by session, of all observations of some users."""
    empty = contents_schema(spec).empty_table()
    tally = cut(observations, EVER, empty_ledger(), 0, spec, lambda _: empty).tally
    sessions = _sessions(tally, spec)
    found: dict[str, list[Came]] = defaultdict(list)
    waiting: list[RawEntry] = []
    of, raw_tokens = -1, 0
    for life, row, entry in _entries(tally, spec, names):
        if life != of:
            of, raw_tokens, waiting = life, 0, []
        waiting.append(entry)
        raw_tokens += entry.tokens
        if row in sessions:
            user, name, start = sessions[row]
            found[user].append(Came(name, start, waiting, raw_tokens))
            waiting = []
    return found


def ids_of(observations: pa.Table, spec: Spec) -> pa.Array:
    """All ids in observations, for which there may be texts."""
    columns = [observations["item"]]
    for name, feature in spec.features.items():
        if feature.kind == "scalar":
            columns.append(observations[f"scalar:{name}"])
        else:
            columns += [observations[f"{part}:{name}"] for part in SET_PARTS]
    flat = [c.combine_chunks() for c in columns]
    return pa.concat_arrays([c.flatten() if pa.types.is_list(c.type) else c for c in flat])


def _sessions(tally: Tally, spec: Spec) -> dict[int, tuple[str, str, datetime]]:
    """By the row of a session's last content its user, the id of its sequence, and its start."""
    found, seen, users = tally.engaged, tally.opened.seen, tally.opened.users.to_pylist()
    source, event_id = ints(seen.rows["source"]), seen.rows["event_id"]
    names, sessions = source_names(spec), {}
    for first, last in zip(found.sessions.first, found.sessions.last, strict=True):
        row = int(found.groups.row[first])
        user, time = users[int(seen.life[row])], int(seen.time[row])
        name = sequence_id(user, names[source[row]], event_id[row].as_py(), time)
        sessions[int(found.groups.row[last])] = user, name, _when(seen.time, row)
    return sessions


def _entries(tally: Tally, spec: Spec, names: Names) -> Iterator[tuple[int, int, RawEntry]]:
    """The life of each raw entry, the row of it where it is an engagement (-1: it is none), and
    the entry; in S2 order of each life."""
    seen, told = tally.opened.seen, [*_features(tally, spec, names), *_engagements(tally, names)]
    sources, source = source_names(spec), ints(seen.rows["source"])
    for row, kind, what in sorted(told, key=lambda one: (seen.moment[one[0]], one[1], one[0])):
        is_content = kind == _AFTER_FEATURES
        entry = RawEntry(_when(seen.time, row), sources[source[row]], *what)
        yield int(seen.life[row]), row if is_content else -1, entry


def _features(tally: Tally, spec: Spec, names: Names) -> Iterator[tuple[int, int, What]]:
    """The row, the token type and the text of what is observed of features."""
    seen, kept = tally.opened.seen, tally.kept
    visible = kept.take(kept.visible)
    columns = (visible.life, visible.time, visible.kind, visible.id)
    left = Counter(zip(*(column.tolist() for column in columns), strict=True))
    for kind, (name, feature) in enumerate(spec.features.items(), FIRST_FEATURE):
        is_set = feature.kind == "set"
        for row, part, number in _named(tally, name, is_set):
            one = (int(seen.life[row]), int(seen.time[row]), kind, number)
            why = "" if left[one] else NO_CHANGE if is_set else AS_BEFORE
            left[one] -= left[one] > 0
            text = names.entry(kind, number)
            text = f"{_SIGNS[part]}{text[1:]}" if is_set else text
            yield row, kind, (text, 1, why)


def _named(tally: Tally, name: str, is_set: bool) -> Iterator[tuple[int, str, int]]:
    """By row what is named of a feature: the part of a set, and the id as a token has it."""
    rows = tally.opened.seen.rows
    for part in SET_PARTS if is_set else ("scalar",):
        for row, value in enumerate(rows[f"{part}:{name}"].to_pylist()):
            ids = value if isinstance(value, list) else [value]
            for number in ids if value is not None else ():
                yield row, part, -number if part == "remove" else number


def _engagements(tally: Tally, names: Names) -> Iterator[tuple[int, int, What]]:
    seen, groups = tally.opened.seen, tally.engaged.groups
    item, actions = seen.rows["item"], ints(seen.rows["actions"])
    for row in np.flatnonzero(groups.of_row >= 0).tolist():
        first = int(groups.row[groups.of_row[row]])
        text = f"Φ {names.item(item[row].as_py())}  a {names.actions(int(actions[row]))}"
        joins = "" if first == row else f"joins the one of {_when(seen.time, first):%H:%M:%S}"
        yield row, _AFTER_FEATURES, (text, 2, joins)


def _when(time: Ints, row: int) -> datetime:
    return datetime.fromtimestamp(int(time[row]) / 1000, UTC)
