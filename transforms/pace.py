"""How far apart firings must be so that they leave a worker time for all else."""

import time
from collections.abc import Hashable
from dataclasses import dataclass

_SHARE = 4
_MOST_S = 60.0
_WEIGHT = 0.25


@dataclass(frozen=True)
class _Last:
    """A shard's last firing: when it ended, s since 1970; a moving mean of what firings took, s."""

    ended: float
    took: float


class Pace:
    """What firings cost in one worker, by shard.

    Where each of a worker's shards fires once in `apart` s, firings take a quarter of its time;
    were they closer, a live stream would fall behind for good. When a shard fires decides nothing
    of what it gives.
    """

    def __init__(self) -> None:
        self._last: dict[Hashable, _Last] = {}

    def fired(self, shard: Hashable, seconds: float) -> None:
        """A firing of a shard has ended, and took so long, its outputs included."""
        last = self._last.get(shard)
        mean = seconds if last is None else last.took + _WEIGHT * (seconds - last.took)
        self._last[shard] = _Last(time.time(), mean)

    def next(self, shard: Hashable) -> float:
        """When the shard may fire, s since 1970; 0 is at once."""
        last = self._last.get(shard)
        return 0.0 if last is None else last.ended + self.apart

    @property
    def apart(self) -> float:
        """The least time between two firings of a shard, s, at most a minute."""
        return min(_SHARE * sum(last.took for last in self._last.values()), _MOST_S)
