"""The buckets of distributions: few, the same for ever, so that counts by them add up.

A bucket has the upper end that names it in it. So what is above a bucket's end is a sum of whole
buckets, and curves against a bound are exact at each end.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.core.arrays import NEVER, Ints

_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True)
class Buckets:
    """Buckets by their ascending upper ends; the last one has all that is more. `unit` is what a
    key counts in."""

    ends: tuple[int, ...]
    unit: int = 1

    @cached_property
    def _ends(self) -> Ints:
        return np.array(self.ends, np.int64)

    @cached_property
    def keys(self) -> pa.Array:
        """The key of each bucket: its end as a number, or `inf`."""
        return pa.array([f"{end / self.unit:.12g}" for end in self.ends[:-1]] + ["inf"])

    def of(self, values: npt.NDArray[np.generic]) -> Ints:
        """[n] the bucket of each value."""
        return np.searchsorted(self._ends, values)

    def __len__(self) -> int:
        return len(self.ends)


def _sizes() -> tuple[int, ...]:
    """0 to 8, then four to each doubling: numbers of three significant bits."""
    return (*range(8), *(k << j for j in range(1, 30) for k in range(4, 8)))


SIZES = Buckets((*_sizes(), NEVER))
"""Of numbers of tokens or contents."""

TIMES = Buckets(
    (
        *(0, 100, 200, 500),
        *(_SECOND * n for n in (1, 2, 5, 10, 15, 20, 30, 45)),
        *(_MINUTE * n for n in (1, 2, 3, 5, 10, 15, 20, 30, 45)),
        *(_HOUR * n for n in (1, 2, 3, 4, 6, 8, 12)),
        *(_DAY * n for n in (1, 2, 3, 7, 14, 30, 60, 90, 180, 365)),
        NEVER,
    ),
    _SECOND,
)
"""Of times in ms, with keys in seconds."""
