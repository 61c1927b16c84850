"""What happened, an entry for each thing, from raw records in plain loops: what a page tells of."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.oracles import fields, oracle
from tests.oracles.compression import Entry, Group, apply, entries_of, groups_of
from tests.oracles.history import sessions_of
from tests.oracles.mapping import _time
from tests.oracles.observations import Engagement, Named, Observation, Scalar
from tests.oracles.order import by_user, histories, without_copies
from tests.oracles.raw import RejectionError, is_blank, parse
from tests.oracles.settings import Settings, settings_of

CONTENTS = "contents"


@dataclass(frozen=True)
class Content:
    """A content: its time, user, item, and the names of its actions."""

    time: int
    user: str
    item: int
    actions: list[str]


@dataclass(frozen=True)
class Session:
    """A session: its times, contents, the pauses in it and before it, its place in its user's
    history, and the contents of this up to its end."""

    start: int
    end: int
    contents: int
    pauses: list[int]
    before: int | None
    first: bool
    done: int


@dataclass
class Happened:
    """All that bounded input tells of; times in ms, of the event."""

    settings: Settings
    accepted: list[tuple[str, int]] = field(default_factory=list)  # source, time; copies too
    rejected: list[tuple[str, str, int | None]] = field(default_factory=list)  # reason, known time
    filtered: Counter[str] = field(default_factory=Counter)
    copies: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    raw: list[tuple[int, str, int]] = field(default_factory=list)  # time, of what, tokens
    kept: list[tuple[int, str, int]] = field(default_factory=list)
    values: list[tuple[int, str, int]] = field(default_factory=list)  # time, feature, id
    held: list[tuple[str, int, int]] = field(default_factory=list)  # feature, contents, ms
    contents: list[Content] = field(default_factory=list)
    joined: list[tuple[str, str, int]] = field(default_factory=list)  # to which source, ms after
    sessions: dict[str, Session] = field(default_factory=dict)  # by sequence_id
    sequences: list[oracle.Row] = field(default_factory=list)


def happened(spec: dict[str, Any], sources: Mapping[str, Sequence[oracle.Raw]]) -> Happened:
    """What files of these raw records tell of."""
    settings, result = settings_of(spec), oracle.Result()
    out, records = Happened(settings), []
    for name, raws in sources.items():
        for raw in raws:
            text = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
            out.bytes[name] += 0 if is_blank(text) else len(text)
        for record in oracle._accepted(spec, settings, name, raws, result):
            records.append(record)
            out.accepted.append((name, record.time))
            out.copies[name] += 1
        for source, index, reason in result.rejected:
            out.rejected.append((source, reason, _known(spec["sources"][name], raws[index])))
        result.rejected.clear()
    out.filtered, out.dropped = result.filtered, result.dropped
    once = without_copies(records)
    for record in once:
        out.copies[record.source] -= 1
    for user, ordered in by_user(once, ()).items():
        for history in histories(ordered, settings.retention):
            _history(out, user, history)
    out.sequences = oracle.sequences(spec, sources).sequences
    return out


def _known(source: dict[str, Any], raw: oracle.Raw) -> int | None:
    """The event time of a rejected record: known where a record has a user and a time."""
    try:
        record = parse(raw, 1_000_000)
        for match in (source.get("end"), source.get("where")):
            fields.matches(record, match)
        fields.user(record, source["user"])
        return _time(source, record)
    except RejectionError:
        return None


def _history(out: Happened, user: str, history: list[Observation]) -> None:
    """A history that nothing before it bears on."""
    settings = out.settings
    groups, entries = groups_of(history, settings.attribution), entries_of(settings, history)
    for one in history:
        name, tokens = CONTENTS, oracle._raw_tokens(one)
        if isinstance(one.what, Scalar | Named):
            name = settings.features[one.place.feature]
        if tokens:
            out.raw.append((one.place.time, name, tokens))
    for group in groups:
        out.kept.append((group.time, CONTENTS, 2))
        done = [name for bit, name in enumerate(settings.actions) if group.actions >> bit & 1]
        out.contents.append(Content(group.time, user, group.item, done))
    for entry in entries:
        name = settings.features[entry.place.feature]
        out.kept.append((entry.place.time, name, 1))
        if entry.token_id >= 0:
            out.values.append((entry.place.time, name, entry.token_id))
    _runs(out, entries, groups)
    _joins(out, history)
    _sessions(out, user, history, groups)


def _runs(out: Happened, entries: list[Entry], groups: list[Group]) -> None:
    """What ceased to hold: a scalar's value, a member that was removed or forgotten."""
    by_feature: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_feature[entry.place.feature].append(entry)
    for feature, mine in by_feature.items():
        name = out.settings.features[feature]
        most = out.settings.members.get(name)
        holds: dict[int, int] = {}  # what, and since when
        for entry in mine:
            now = [entry.token_id]
            if most is not None:
                now = [*holds]
                apply(now, [entry.token_id], most)
            time = entry.place.time
            for gone in [one for one in holds if one not in now or most is None]:
                began = holds.pop(gone)
                came = sum(began <= group.time < time for group in groups)
                out.held.append((name, came, time - began))
            holds = {one: holds.get(one, time) for one in now}


def _joins(out: Happened, history: list[Observation]) -> None:
    first: dict[int, Observation] = {}
    for one in history:
        if not isinstance(one.what, Engagement):
            continue
        head = first.get(one.what.item)
        after = one.place.time - head.place.time if head else 0
        if head and out.settings.attribution and after <= out.settings.attribution:
            out.joined.append((one.source, head.source, after))
        else:
            first[one.what.item] = one


def _sessions(out: Happened, user: str, history: list[Observation], groups: list[Group]) -> None:
    done, last = 0, None
    for each in sessions_of(out.settings, groups, history):
        start, end = each[0].time, each[-1].time
        pauses = [other.time - one.time for one, other in pairwise(each)]
        before = None if last is None else start - last
        row = oracle._of_session(user, each)
        session = Session(start, end, len(each), pauses, before, not done, done + len(each))
        out.sessions[row["sequence_id"]] = session
        done, last = session.done, end
