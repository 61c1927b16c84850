"""Sending at a given rate."""

import time
from collections.abc import Callable

NAP_SECONDS = 1.0  # the longest sleep at a time


class Pace:
    """Holds a sender back to `rate` records a second on average; 0 never holds it back."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if rate < 0:
            raise ValueError(f"the rate must be 0 (as fast as possible) or more, not {rate:g}")
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._start = clock()
        self._sent = 0

    def wait(self, records: int) -> None:
        """Wait until so many more records may go."""
        if not self._rate:
            return
        due = self._start + self._sent / self._rate
        while (ahead := due - self._clock()) > 0:
            self._sleep(min(ahead, NAP_SECONDS))
        self._sent += records
