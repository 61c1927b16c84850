"""docs/statistics.md: every measure that files give, counted from raw records in plain loops."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

from tests.oracles import oracle
from tests.oracles.compression import Group, apply, entries_of, groups_of
from tests.oracles.history import held, sessions_of
from tests.oracles.observations import Engagement, Named, Observation, Scalar
from tests.oracles.order import by_user, histories, without_copies
from tests.oracles.raw import is_blank
from tests.oracles.settings import Settings, settings_of
from tests.oracles.text import id_of

HOUR, DAY = 3_600_000, 86_400_000
Key = tuple[str, str | None, str | None, str | None, int | None]
"""Measure, source, feature, key, start of the window in ms."""

_SECONDS = [
    0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 45,
    *(60 * n for n in (1, 2, 3, 5, 10, 15, 20, 30, 45)),
    *(3600 * n for n in (1, 2, 3, 4, 6, 8, 12)),
    *(86400 * n for n in (1, 2, 3, 7, 14, 30, 60, 90, 180, 365)),
]  # fmt: skip


@dataclass
class Counted:
    """The sums by measure, and the members of what is a sketch by (measure, feature, window)."""

    sums: defaultdict[Key, float] = field(default_factory=lambda: defaultdict(float))
    members: dict[tuple[str, str | None, int], set[int]] = field(
        default_factory=lambda: defaultdict(set)
    )

    def hour(self, measure: str, time: int, value: float = 1, feature: str | None = None) -> None:
        """Something at a time, by hour."""
        if value:
            self.sums[measure, None, feature, None, time // HOUR * HOUR] += value

    def day(
        self,
        measure: str,
        time: int,
        value: float = 1,
        *,
        source: str | None = None,
        feature: str | None = None,
        key: str | None = None,
    ) -> None:
        """Something at a time, by day."""
        self.sums[measure, source, feature, key, time // DAY * DAY] += value

    def member(self, measure: str, time: int, one: int, feature: str | None = None) -> None:
        """Somebody, or something, that was there at a time."""
        self.members[measure, feature, time // DAY * DAY].add(one)


def size_key(size: int) -> str:
    """The bucket of a number of tokens or contents: rounded up to three significant bits."""
    step = 1
    while size > 8 * step:
        step *= 2
    return str(-(-size // step) * step)


def time_key(ms: int) -> str:
    """The bucket of a time, in seconds."""
    for seconds in _SECONDS:
        if ms <= seconds * 1000:
            return str(seconds)
    return "inf"


def counted(spec: dict[str, Any], sources: Mapping[str, Sequence[oracle.Raw]]) -> Counted:
    """All that is counted of bounded input; `rejected` without windows."""
    settings, result, out = settings_of(spec), oracle.Result(), Counted()
    records = []
    for name, raws in sources.items():
        for raw in raws:
            text = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
            out.sums["bytes", name, None, None, None] += 0 if is_blank(text) else len(text)
        for record in oracle._accepted(spec, settings, name, raws, result):
            records.append(record)
            out.sums["records", name, None, None, record.time // HOUR * HOUR] += 1
            for path in record.dropped:
                out.sums["dropped", name, path, None, record.time // HOUR * HOUR] += 1
        out.sums["filtered", name, None, None, None] += result.filtered[name]
        out.sums["copies", name, None, None, None] += sum(r.source == name for r in records)
    for name, _, reason in result.rejected:
        out.sums["rejected", name, None, reason, None] += 1
    once = without_copies(records)
    for record in once:
        out.sums["copies", record.source, None, None, None] -= 1
    for user, ordered in by_user(once, ()).items():
        for history in histories(ordered, settings.retention):
            _history(settings, user, history, out)
    for key in [key for key, value in out.sums.items() if not value]:
        del out.sums[key]
    return out


def _history(settings: Settings, user: str, history: list[Observation], out: Counted) -> None:
    if not history:
        return
    out.hour("new_users", history[0].place.time)
    groups = groups_of(history, settings.attribution)
    _tokens(settings, history, groups, out)
    _runs(settings, history, groups, out)
    _joins(settings, history, out)
    for group in groups:
        _content(settings, group, out)
        out.member("users", group.time, id_of(user))
    _sessions(settings, user, history, groups, out)


def _tokens(
    settings: Settings, history: list[Observation], groups: list[Group], out: Counted
) -> None:
    for one in history:
        time = one.place.time
        if isinstance(one.what, Engagement):
            out.hour("tokens_raw", time, 2, "contents")
        elif isinstance(one.what, Scalar | Named):
            name = settings.features[one.place.feature]
            out.hour("tokens_raw", time, oracle._raw_tokens(one), name)
    for group in groups:
        out.hour("tokens_kept", group.time, 2, "contents")
    for entry in entries_of(settings, history):
        name = settings.features[entry.place.feature]
        out.hour("tokens_kept", entry.place.time, 1, name)
        if entry.token_id >= 0:
            out.member("values", entry.place.time, entry.token_id, name)


def _runs(
    settings: Settings, history: list[Observation], groups: list[Group], out: Counted
) -> None:
    """What ceased to hold: a scalar's value, a member that was removed or forgotten."""
    since: dict[int, dict[int, int]] = defaultdict(dict)  # feature: what holds: since when
    order: dict[int, list[int]] = defaultdict(list)

    def ended(feature: int, what: int, time: int) -> None:
        began = since[feature].pop(what)
        came = sum(began <= group.time < time for group in groups)
        name = settings.features[feature]
        out.day("run_contents", time, feature=name, key=size_key(came))
        out.day("run_duration", time, feature=name, key=time_key(time - began))

    for entry in entries_of(settings, history):
        feature, time = entry.place.feature, entry.place.time
        name = settings.features[feature]
        before = list(order[feature])
        if name in settings.members:
            apply(order[feature], [entry.token_id], settings.members[name])
        else:
            order[feature] = [entry.token_id]
        for gone in before:
            if gone not in order[feature]:
                ended(feature, gone, time)
        if entry.token_id >= 0:
            since[feature][entry.token_id] = time


def _joins(settings: Settings, history: list[Observation], out: Counted) -> None:
    latest: dict[int, Observation] = {}
    for one in history:
        if not isinstance(one.what, Engagement):
            continue
        first = latest.get(one.what.item)
        time = one.place.time
        if settings.attribution and first and time - first.place.time <= settings.attribution:
            out.day("joined", time, source=one.source, key=first.source)
            out.day("join_delay", time, key=time_key(time - first.place.time))
        else:
            latest[one.what.item] = one


def _content(settings: Settings, group: Group, out: Counted) -> None:
    out.member("items", group.time, group.item)
    names = [name for bit, name in enumerate(settings.actions) if group.actions >> bit & 1]
    if not names:
        out.day("impressions", group.time)
    for name in names:
        out.day("actions", group.time, key=name)
    for pair in combinations(names, 2):
        both = json.dumps(pair, ensure_ascii=False, separators=(",", ":"))
        out.day("action_pairs", group.time, key=both)


def _sessions(
    settings: Settings, user: str, history: list[Observation], groups: list[Group], out: Counted
) -> None:
    done = 0
    for session in sessions_of(settings, groups, history):
        first, end = done == 0, session[-1].time
        pause = None if first else session[0].time - groups[done - 1].time
        for one, other in pairwise(session):
            out.day("content_gap", other.time, key=time_key(other.time - one.time))
        done += len(session)
        out.hour("sessions", end)
        out.hour("first_sessions", end, first)
        out.hour("new_contents", end, len(session))
        out.day("session_contents", end, key=size_key(len(session)))
        out.day("session_duration", end, key=time_key(end - session[0].time))
        out.day("history_contents", end, key=size_key(done))
        out.day("history_contents_sum", end, done, key=size_key(done))
        _sequence(settings, user, history, groups[:done], session, pause, out)


def _sequence(
    settings: Settings,
    user: str,
    history: list[Observation],
    groups: list[Group],
    session: list[Group],
    pause: int | None,
    out: Counted,
) -> None:
    last, end = session[-1].first.place, session[-1].time
    entries = [one for one in entries_of(settings, history) if one.place < last]
    kept = held(settings, groups, entries)
    row = {**oracle._of_session(user, session), "token_type": range(kept.tokens)}
    if not oracle._drawn(settings, row):
        return
    tokens = kept.tokens
    raw = sum(oracle._raw_tokens(one) for one in history if one.place <= last)
    out.hour("sequences", end)
    cut = len(groups) - len(kept.groups)
    out.hour("sequences_cut", end, cut > 0)
    out.hour("contents_cut", end, cut)
    out.hour("sequences_folded", end, len(kept.head) > 0)
    out.hour("head_tokens", end, len(kept.head))
    for name, count in (("", tokens), ("raw_", raw)):
        out.hour(f"sequence_{name}tokens", end, count)
        out.hour(f"sequence_{name}cost", end, count**2)
        measure, key = f"sequence_{name}length", size_key(count)
        out.day(measure, end, key=key)
        out.day(f"{measure}_tokens", end, count, key=key)
        out.day(f"{measure}_cost", end, count**2, key=key)
    if settings.sampling:
        weight = max(1.0, tokens / settings.sampling[0])
        out.day("sequence_length_sessions", end, weight, key=size_key(tokens))
    out.day("sequence_contents", end, key=size_key(len(kept.groups)))
    if pause is not None and len(kept.groups) > len(session):
        out.day("session_gap", session[0].time, key=time_key(pause))
