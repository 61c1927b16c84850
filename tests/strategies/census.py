"""What happens in a case: to tell whether drawn cases meet the rules that they are to test."""

from itertools import pairwise
from typing import Any

from tests.oracles import oracle
from tests.oracles.compression import Entry, Group, entries_of, groups_of
from tests.oracles.history import held, sessions_of
from tests.oracles.mapping import map_record
from tests.oracles.observations import (
    END,
    ENGAGEMENT,
    ERASURE,
    Engagement,
    Mapped,
    Observation,
    Place,
)
from tests.oracles.order import by_user, histories, without_copies
from tests.oracles.raw import RejectionError
from tests.oracles.settings import Settings, settings_of

Spec = dict[str, Any]


def happenings(spec: Spec, sources: dict[str, list[dict[str, Any]]]) -> set[str]:
    """The names of what happens in a case, rule by rule."""
    settings, result = settings_of(spec), oracle.sequences(spec, sources)
    found = {reason for _, _, reason in result.rejected}
    found |= {"filtered"} if result.filtered else set()
    records = _accepted(spec, settings, sources)
    found |= _of_copies(records)
    for ordered in by_user(without_copies(records), []).values():
        found |= _of_user(settings, ordered)
        for history in histories(ordered, settings.retention):
            found |= _of_history(settings, history)
    return found


def _accepted(spec: Spec, settings: Settings, sources: dict[str, Any]) -> list[Mapped]:
    records = []
    for name, raws in sources.items():
        for raw in raws:
            try:
                record = map_record(settings, name, spec["sources"][name], raw)
            except RejectionError:
                continue
            records += [record] if record else []
    return records


def _of_copies(records: list[Mapped]) -> set[str]:
    """S3: copies alike, and copies of other content."""
    contents: dict[Any, list[str]] = {}
    for one in records:
        contents.setdefault((one.source, one.user, one.event_id, one.time), []).append(one.content)
    copied = [set(same) for same in contents.values() if len(same) > 1]
    return {"copies alike" if len(same) == 1 else "copies unlike" for same in copied}


def _of_user(settings: Settings, ordered: list[Observation]) -> set[str]:
    """S13, S15: erasures that void something, retention that ends something."""
    found = set()
    places = [one.place for one in ordered]
    for before, after in pairwise(places):
        wait = after.time - before.time
        if settings.retention is not None:
            found |= {f"retention {wait - settings.retention:+}"} & {"retention +0", "retention +1"}
            found |= {"retention"} if wait > settings.retention else set()
        found |= {"erasure, then more"} if before.rank == ERASURE else set()
        found |= {"erasure of something"} if after.rank == ERASURE else set()
        if after.rank == before.rank == ENGAGEMENT:
            found |= {f"wait gap {wait - settings.gap:+}"} & {"wait gap +0", "wait gap +1"}
    return found


def _of_history(settings: Settings, history: list[Observation]) -> set[str]:
    """S4 to S9: joins, compression, and what the sequences hold."""
    groups, entries = groups_of(history, settings.attribution), entries_of(settings, history)
    found = {f"{len(groups)} contents"} & {"0 contents", "1 contents"}
    found |= {"several contents"} if len(groups) > 2 else set()
    engagements = sum(one.place.rank == ENGAGEMENT for one in history)
    found |= {"join"} if engagements > len(groups) else set()
    observed = sum(one.place.rank == 0 for one in history)
    found |= {"run or no change"} if observed > len({one.place for one in entries}) else set()
    sessions, done = sessions_of(settings, groups, history), 0
    for session in sessions:
        done += len(session)
        last = session[-1].first.place
        before = [one for one in entries if one.place < last]
        found |= _of_sequence(settings, groups[:done], before)
    found |= _of_sessions(settings, sessions, history)
    return found | _of_sets(settings, entries)


def _of_sequence(settings: Settings, groups: list[Group], entries: list[Entry]) -> set[str]:
    """S9: what is cut off, folded and dropped."""
    kept = held(settings, groups, entries)
    cut, most = len(groups) - len(kept.groups), min(len(groups), settings.max_kept)
    before = [one for one in entries if one.place < kept.groups[0].first.place]
    tests = {
        "cut by N": len(groups) > settings.max_kept == len(kept.groups),
        "cut by M": len(kept.groups) < most,
        "fold": len(kept.head) < len(before),
        "fold after a cut": cut > 0 and len(kept.head) < len(before),
        "head": bool(kept.head),
        "head over M": kept.tokens == settings.max_tokens and len(kept.groups) == 1 < most,
        "M met exactly": kept.tokens == settings.max_tokens and bool(kept.between),
        "entries between": bool(kept.between),
    }
    return {name for name, happens in tests.items() if happens}


def _of_sessions(
    settings: Settings, sessions: list[list[Group]], history: list[Observation]
) -> set[str]:
    """S8: what closes sessions."""
    found = set()
    ends = [one.place for one in history if one.place.rank == END]
    for one, after in pairwise(sessions):
        last, first = one[-1].first.place, after[0].first.place
        found |= {"closed by gap"} if first.time - last.time > settings.gap else set()
        found |= {"closed by end"} if any(last < end < first for end in ends) else set()
        found |= {"end at its time"} if any(end.time == last.time for end in ends) else set()
        found |= {"closed full"} if len(one) == settings.max_contents else set()
        later = _late_joiners(settings, one, first, history)
        found |= {"joiner in a later session"} if later else set()
    for one in sessions:
        after_last = _late_joiners(settings, one, one[-1].first.place, history)
        found |= {"joiner after the last"} if after_last else set()
    return found


def _late_joiners(
    settings: Settings, session: list[Group], later: Place, history: list[Observation]
) -> bool:
    """S4: whether a group of a session takes an engagement from `later` on, or after."""
    items = {group.item: group.time for group in session}
    firsts = {group.first.place for group in groups_of(history, settings.attribution)}
    return any(
        one.place >= later
        and one.place not in firsts
        and one.place.time - items.get(one.what.item, -1) <= settings.attribution
        for one in history
        if isinstance(one.what, Engagement)
    )


def _of_sets(settings: Settings, entries: list[Entry]) -> set[str]:
    """S6: removals, and members forgotten."""
    found = set()
    for at, name in enumerate(settings.features):
        own = [one.token_id for one in entries if one.place.feature == at]
        if name in settings.members:
            size = sum(1 if token > 0 else -1 for token in own)
            found |= {"eviction"} if size > settings.members[name] else set()
            found |= {"removal"} if any(token < 0 for token in own) else set()
        else:
            found |= {"run of null"} if 0 in own else set()
    return found
