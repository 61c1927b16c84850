"""Where to begin reading a topic, and whether what was saved still fits it."""

from collections.abc import Mapping

from model.reader.progress import Place
from model.reader.state import LaneState
from schemas.failures import Failure, UsageError


def places_of(
    topic: str, state: LaneState, first: Mapping[int, int], ends: Mapping[int, int]
) -> dict[int, Place]:
    """Where each partition in `first` (its first offset that is still there) is read on: where
    the state says, else at the first. Raises UsageError where the state is of another topic."""
    for partition, place in state.places.items():
        if place.offset > ends.get(partition, place.offset):
            raise UsageError(
                f"partition {partition} of topic {topic!r} ends at offset {ends[partition]}, "
                f"before the saved {place.offset}: it was deleted and made again"
            )
    return {
        partition: state.places.get(partition, Place(offset)) for partition, offset in first.items()
    }


def check_partitions(topic: str, state: LaneState, partitions: int) -> None:
    """Raises UsageError where the topic had another number of partitions: users have moved."""
    if state.partitions not in (0, partitions):
        raise UsageError(
            f"topic {topic!r} has {partitions} partitions; the saved state is of "
            f"{state.partitions}: what a user did is no more in one of them"
        )


def passed_over(topic: str, partition: int, saved: int, first: int, skip_lost: bool) -> int:
    """How many messages retention has deleted from the saved offset to the first that is there.

    Raises Failure that says so, unless it is allowed to go on without them.
    """
    lost = max(first - saved, 0)
    if lost and not skip_lost:
        raise Failure(
            f"topic {topic!r}, partition {partition}: messages lost: {lost}; it begins at offset "
            f"{first}, the saved one is {saved}; skip_lost goes on without them"
        )
    return lost
