"""S4, S5, S6: what is kept of a history's observations, as groups and feature entries."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.oracles.observations import Engagement, Named, Observation, Place, Scalar
from tests.oracles.settings import Settings


@dataclass
class Group:
    """S4: engagements that are one, at the place of the first."""

    first: Observation
    item: int
    categories: dict[str, list[int]]
    actions: int

    @property
    def time(self) -> int:
        """The time of its first engagement, ms."""
        return self.first.place.time


@dataclass(frozen=True)
class Entry:
    """S7: a kept feature entry: one token."""

    place: Place
    token_id: int


def groups_of(history: list[Observation], attribution: int) -> list[Group]:
    """S4: an engagement joins its item's group if at most A after the group's first; A = 0: off."""
    groups: list[Group] = []
    latest: dict[int, Group] = {}
    for one in history:
        if not isinstance(one.what, Engagement):
            continue
        group = latest.get(one.what.item)
        if attribution > 0 and group and one.place.time - group.time <= attribution:
            group.actions |= one.what.actions
        else:
            group = Group(one, one.what.item, one.what.categories, one.what.actions)
            groups.append(group)
            latest[group.item] = group
    return groups


def entries_of(settings: Settings, history: list[Observation]) -> list[Entry]:
    """S5, S6, S7: the feature entries kept, in S2 order."""
    values: dict[int, int] = {}  # the last value of each scalar, by position of the feature
    sets: dict[int, list[int]] = {}  # the members of each set, the one added longest ago first
    entries = []
    for one in history:
        at = one.place.feature
        if isinstance(one.what, Scalar):
            if values.get(at) != one.what.value:  # S5: the first of each run
                entries.append(Entry(one.place, one.what.value))
            values[at] = one.what.value
        elif isinstance(one.what, Named):
            members = sets.setdefault(at, [])
            changes = list(_changes(members, one.what))
            apply(members, changes, settings.members[settings.features[at]])
            entries += [Entry(one.place, change) for change in changes]
    return entries


def _changes(members: list[int], named: Named) -> Iterator[int]:
    """S6: removals (negated) by ascending id, then additions; what is in both is only added."""
    added = set(named.added) - set(members)
    gone = set(members) if named.snapshot else set(members) & set(named.removed)
    yield from (-member for member in sorted(gone - set(named.added)))
    yield from sorted(added)


def apply(members: list[int], changes: list[int], max_members: int) -> None:
    """S6: the members after the changes; one too many forgets the one added longest ago."""
    for change in changes:
        if change < 0:
            members.remove(-change)
        else:
            members.append(change)
            if len(members) > max_members:
                members.pop(0)
