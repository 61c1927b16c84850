"""S6: an observation of a set becomes the membership changes that it makes."""

from collections.abc import Iterable

Members = dict[int, None]
"""The members of a set, the one added longest ago first."""

Change = tuple[int, bool]
"""A member's id, negated for a removal; and whether it is forgotten without an entry."""


def changes_by_delta(
    members: Members, added: Iterable[int], removed: Iterable[int], at_most: int
) -> list[Change]:
    """The changes by one record that adds and removes; an id named by both is only added."""
    adds = set(added)
    return _apply(members, set(removed) - adds, adds, at_most)


def changes_by_snapshot(members: Members, snapshot: Iterable[int], at_most: int) -> list[Change]:
    """The changes that make the members those of a snapshot."""
    now = set(snapshot)
    return _apply(members, members.keys() - now, now, at_most)


def _apply(members: Members, removed: set[int], added: set[int], at_most: int) -> list[Change]:
    """Changes `members` itself: removals by ascending id, then additions by ascending id."""
    changes: list[Change] = []
    for member in sorted(removed & members.keys()):
        del members[member]
        changes.append((-member, False))
    for member in sorted(added - members.keys()):
        members[member] = None
        changes.append((member, False))
        if len(members) > at_most:
            oldest = next(iter(members))
            del members[oldest]
            changes.append((oldest, True))
    return changes
