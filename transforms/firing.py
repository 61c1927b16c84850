"""When a shard fires: on a grid of event time, so that a firing does the work of some seconds."""

from dataclasses import dataclass

import numpy as np

from schemas.spec import Spec
from transforms.core.arrays import Ints
from transforms.core.late import BEFORE_ALL

_LEAST_MS, _MOST_MS = 1_000, 60_000
_FIRINGS_A_SESSION = 32


@dataclass(frozen=True)
class Firing:
    """The watermarks that a shard of a stream fires at: multiples of `interval`. Times in ms of
    event time. What comes by a watermark is final up to the watermark less `horizon`."""

    horizon: int
    interval: int

    @classmethod
    def of(cls, spec: Spec, interval: int | None = None) -> "Firing":
        """The firing of a spec; without an `interval` about 32 firings see a session, at whole
        seconds: Flink's watermark moves by no less."""
        seconds = -(-(spec.session.gap + spec.horizon) // _FIRINGS_A_SESSION // 1000)
        usual = min(max(seconds * 1000, _LEAST_MS), _MOST_MS)
        return cls(spec.horizon, interval or usual)

    def final_at(self, watermark: int) -> int:
        """The time up to which observations are final at a watermark."""
        return watermark - self.horizon

    def at(self, due: Ints, known: int) -> Ints:
        """The watermarks to fire at, each once, for what may be complete once each `due` is final.

        `known` is a watermark that is reached already, or will be soon: one firing does for all
        that is past by then. What is further ahead of it than a session, as where a shard reads up
        on the past, waits up to a thirty-second of that longer. BEFORE_ALL where none is known.
        """
        on_grid = -(-(due + self.horizon) // self.interval)
        if known > BEFORE_ALL:
            past = known // self.interval
            on_grid = _coarser(np.maximum(on_grid, past), past)
        return np.unique(on_grid) * self.interval

    def after(self, watermark: int, due: int) -> int:
        """The next watermark to fire at after one, for what may be complete once `due` is final."""
        return -(-max(due + self.horizon, watermark + 1) // self.interval) * self.interval


def _coarser(on_grid: Ints, past: int) -> Ints:
    """Places on a grid on one of 2, 4, 8 ... times its width, the further they are ahead."""
    sessions = np.maximum((on_grid - past) // _FIRINGS_A_SESSION, 1)
    width = 1 << np.log2(sessions).astype(np.int64)
    coarser: Ints = -(-on_grid // width) * width
    return coarser
