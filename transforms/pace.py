"""How far apart firings must be so that they leave a worker time for all else."""

import time
from collections.abc import Hashable

_SHARE = 4
_MOST_S = 60.0
_KEPT = 0.95
_DOUBT = 0.05


class Pace:
    """What a firing costs in one worker, whatever it is given: cells of state, what waits on.

    A row that is cut is cut once, sooner or later; all else a firing costs anew. Where each of
    a worker's shards fires once in `apart` s, this takes a quarter of its time; were firings
    closer, a live stream would fall behind for good. But a worker that has read up on the past
    needn't wait long for what is left. When a shard fires decides nothing of what it gives.

    The two parts are told apart by least squares over the worker's firings, the older the less.
    They begin with one of no rows that took no time. Where rows hardly differ, all is taken to be
    the firing's.
    """

    def __init__(self) -> None:
        self._ended: dict[Hashable, float] = {}  # a shard's last firing, s since 1970
        self._weight, self._rows, self._took, self._square, self._product = 1.0, 0.0, 0.0, 0.0, 0.0

    def fired(self, shard: Hashable, rows: int, seconds: float) -> None:
        """A firing of a shard has ended, cut so many rows, and took so long, its outputs too."""
        self._ended[shard] = time.time()
        self._weight = _KEPT * self._weight + 1
        self._rows = _KEPT * self._rows + rows
        self._took = _KEPT * self._took + seconds
        self._square = _KEPT * self._square + rows * rows
        self._product = _KEPT * self._product + rows * seconds

    def next(self, shard: Hashable) -> float:
        """When the shard may fire, s since 1970; 0 is at once."""
        ended = self._ended.get(shard)
        return 0.0 if ended is None else ended + self.apart

    @property
    def apart(self) -> float:
        """The least time between two firings of a shard, s, at most a minute."""
        return min(_SHARE * self._each * len(self._ended), _MOST_S)

    @property
    def _each(self) -> float:
        """What a firing costs without its rows, s."""
        rows, took = self._rows / self._weight, self._took / self._weight
        variance = self._square / self._weight - rows * rows
        shared = self._product / self._weight - rows * took
        doubted = variance + _DOUBT * rows * rows
        a_row = max(shared / doubted, 0.0) if doubted else 0.0
        return max(took - a_row * rows, 0.0)
