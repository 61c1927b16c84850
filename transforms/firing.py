"""When a shard fires: on a grid of event time, so that a firing does the work of some seconds."""

from dataclasses import dataclass

from schemas.spec import Spec
from transforms.core.late import BEFORE_ALL

_LEAST_MS, _MOST_MS = 1_000, 60_000
_FIRINGS_A_SESSION = 32


@dataclass(frozen=True)
class Firing:
    """How a shard's timer is set. Times in ms of event time.

    Bounded input fires once, at the end of time. Else observations are final at the watermark
    less `horizon`; what `wait` after its time may be complete; and firings are `interval` apart.
    """

    bounded: bool
    horizon: int
    wait: int
    interval: int

    @classmethod
    def of(cls, spec: Spec, bounded: bool, interval: int | None = None) -> "Firing":
        """The firing of a spec; without an `interval` about 32 firings see a session."""
        session = spec.session.gap + spec.horizon
        usual = min(max(session // _FIRINGS_A_SESSION, _LEAST_MS), _MOST_MS)
        closes_early = spec.session.max_contents is not None or any(
            source.end or source.erase for source in spec.sources.values()
        )
        wait = spec.attribution if closes_early else spec.session.gap
        return cls(bounded, spec.horizon, wait, interval or usual)

    def final_at(self, watermark: int) -> int:
        """The time up to which observations are final at a watermark."""
        return watermark - self.horizon

    def first(self, time: int) -> int:
        """The watermark at which an observation of this time may first complete something."""
        return self._on_grid(time + self.wait + self.horizon)

    def next(self, due: int, now: int, median: int, known: int = BEFORE_ALL, apart: int = 1) -> int:
        """The watermark to fire at after `now`, for what may be complete once `due` is final; not
        sooner than `apart` ms after it.

        `known` is a watermark that is reached already, or will be soon, where one is known: the
        job may be reading up on the past, and then one firing does for all of it. Else `median`
        tells, that of the times of what waits. On a live stream it lies behind the watermark;
        where it lies ahead, the next firing is half-way there, so that days of event time take a
        few firings and not one every few seconds of them.
        """
        ahead = max(median - now, 0) // 2 if known == BEFORE_ALL else 0
        soonest = self._on_grid(max(due + self.horizon, now + max(apart, 1), now + ahead))
        return max(soonest, known // self.interval * self.interval)

    def _on_grid(self, watermark: int) -> int:
        return -(-watermark // self.interval) * self.interval
