"""What a trainer says while it trains, told to all who listen."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

SPEED = "speed/tokens_per_second"
HELP = {SPEED: "Tokens a second since the report before."}


@dataclass(frozen=True)
class Reported:
    """The figures by name after a step, and the tokens trained on in all steps so far."""

    step: int
    tokens: int
    figures: Mapping[str, float]


class Sink(Protocol):
    """Where reports go to."""

    def write(self, reported: Reported) -> None:
        """Takes a report. Steps ascend."""

    def close(self) -> None:
        """Ends; nothing is written after."""


class Report:
    """Tells each report to all sinks, with the speed since the one before.

    Ranks other than the first report to no sinks. The speed is the one figure that looks at the
    clock. Raises Failure where a sink cannot be written.
    """

    def __init__(
        self,
        sinks: Iterable[Sink] = (),
        tokens: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tokens`: trained on before, where a trainer goes on. `clock`: in seconds."""
        self._sinks = tuple(sinks)
        self._clock = clock
        self._last = (tokens, clock())

    def step(self, figures: Mapping[str, float], *, step: int, tokens: int) -> None:
        """Reports figures after a step; `tokens` are those of all steps so far."""
        now = self._clock()
        before, then = self._last
        self._last = (tokens, now)
        speed = {SPEED: (tokens - before) / (now - then)} if now > then else {}
        for sink in self._sinks:
            sink.write(Reported(step, tokens, {**figures, **speed}))

    def close(self) -> None:
        """Closes all sinks."""
        for sink in self._sinks:
            sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
