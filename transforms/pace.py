"""How far apart firings must be so that they leave a worker time for all else."""

from collections.abc import Hashable

_SHARE = 4
_MOST_MS = 60_000
_WEIGHT = 0.25


class Pace:
    """What firings cost in one worker, by shard: a moving mean of the last ones.

    On a live stream event time goes as fast as the clock. Where each of a worker's shards fires
    once in `apart`, firings take a quarter of its time; were they closer, it would fall
    behind for good. When a shard fires decides nothing of what it gives.
    """

    def __init__(self) -> None:
        self._took: dict[Hashable, float] = {}

    def took(self, shard: Hashable, seconds: float) -> None:
        """A firing of a shard took so long, its outputs included."""
        mean = self._took.get(shard, seconds)
        self._took[shard] = mean + _WEIGHT * (seconds - mean)

    @property
    def apart(self) -> int:
        """The least time between two firings of a shard, ms, at most a minute."""
        return min(int(_SHARE * 1000 * sum(self._took.values())), _MOST_MS)
