"""S2, S3, S13, S15: copies, a user's order, and where its history begins anew."""

from collections import defaultdict
from collections.abc import Sequence

from tests.oracles.observations import ERASURE, Mapped, Mark, Observation, Place

User = str


def without_copies(records: list[Mapped]) -> list[Mapped]:
    """S3: of one source, user, event_id and time, the record of least canonical content."""
    least: dict[tuple[str, str, str, int], Mapped] = {}
    for record in records:
        key = (record.source, record.user, record.event_id, record.time)
        held = least.get(key)
        if held is None or record.content.encode() < held.content.encode():
            least[key] = record
    return list(least.values())


def by_user(
    records: Sequence[Mapped], tombstones: Sequence[tuple[User, int]]
) -> dict[User, list[Observation]]:
    """S2, S13: each user's observations in order; a tombstone is an erasure at its time."""
    users: dict[User, list[Observation]] = defaultdict(list)
    for record in records:
        users[record.user] += record.observations
    for user, time in tombstones:
        users[user].append(Observation(Place(time, ERASURE, 0, b"", b""), "", "", Mark()))
    return {user: sorted(users[user], key=lambda one: one.place) for user in sorted(users)}


def histories(ordered: list[Observation], retention: int | None) -> list[list[Observation]]:
    """S13, S15: a user's observations cut into those that know of each other.

    An observation more than R after the one before starts anew. An erasure voids all before it,
    the histories that retention had ended too.
    """
    found: list[list[Observation]] = [[]]
    before: int | None = None
    for one in ordered:
        if one.place.rank == ERASURE:
            found = [[]]
        elif retention is not None and before is not None and one.place.time - before > retention:
            found.append([one])
        else:
            found[-1].append(one)
        before = one.place.time
    return found
