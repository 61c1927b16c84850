"""S8, S9, S10: sessions, and the part of the history that each one's sequence holds."""

from dataclasses import dataclass

from tests.oracles.compression import Entry, Group, apply
from tests.oracles.observations import END, Observation, Place
from tests.oracles.settings import Settings


@dataclass(frozen=True)
class Held:
    """What a sequence holds: the head, and after it contents and the entries between them."""

    head: list[Entry]
    between: list[Entry]
    groups: list[Group]

    @property
    def tokens(self) -> int:
        """S7: an engagement gives two tokens, a feature entry one."""
        return len(self.head) + len(self.between) + 2 * len(self.groups)


def sessions_of(
    settings: Settings, groups: list[Group], history: list[Observation]
) -> list[list[Group]]:
    """S8: engagements cut at gaps over G, at end marks, and where a session is full."""
    ends = [one.place for one in history if one.place.rank == END]
    sessions: list[list[Group]] = []
    for group in groups:
        if sessions and not _closed(settings, sessions[-1], group, ends):
            sessions[-1].append(group)
        else:
            sessions.append([group])
    return sessions


def _closed(settings: Settings, session: list[Group], group: Group, ends: list[Place]) -> bool:
    """S8: whether the session before a group is closed to it."""
    last = session[-1]
    return (
        group.time - last.time > settings.gap
        or any(last.first.place < end < group.first.place for end in ends)
        or len(session) == settings.max_contents
    )


def held(settings: Settings, groups: list[Group], entries: list[Entry]) -> Held:
    """S9: the newest contents, at most N, and no more than keep to M tokens; at least one.

    groups and entries: those of the timeline up to the session's last engagement (S10).
    """
    kept = _from(settings, groups[-1:], entries)
    for count in range(2, min(settings.max_kept, len(groups)) + 1):
        wider = _from(settings, groups[-count:], entries)
        if wider.tokens > settings.max_tokens:
            break  # and each wider one is longer still
        kept = wider
    too_many = max(0, kept.tokens - settings.max_tokens)  # only where one content is kept
    return Held(kept.head[too_many:], kept.between, kept.groups)


def _from(settings: Settings, groups: list[Group], entries: list[Entry]) -> Held:
    """S9: these contents, the entries between them, and those before them folded."""
    oldest = groups[0].first.place
    before = [one for one in entries if one.place < oldest]
    return Held(_folded(settings, before), [one for one in entries if one.place > oldest], groups)


def _folded(settings: Settings, entries: list[Entry]) -> list[Entry]:
    """S9: those in effect at the end: each scalar's last, and what added each present member."""
    present = {at: _present(settings, at, entries) for at in range(len(settings.features))}
    return [one for one in entries if one in present[one.place.feature]]


def _present(settings: Settings, at: int, entries: list[Entry]) -> list[Entry]:
    """S9: the entries of one feature that are still in effect after all of them."""
    own = [one for one in entries if one.place.feature == at]
    if settings.features[at] not in settings.members:
        return own[-1:]
    members: list[int] = []
    apply(members, [one.token_id for one in own], settings.members[settings.features[at]])
    return [[one for one in own if one.token_id == member][-1] for member in members]
