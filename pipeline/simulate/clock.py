"""When people are awake: how activity spreads over a day, and slices of equal activity."""

from collections.abc import Iterator

import numpy as np

from pipeline.simulate.platform import DAY, Floats, Ints, Platform

SLICE_VIEWS = 50_000  # of a slice: enough for numpy to be quick, few enough to be held in memory
_HOURLY = np.array(
    [4, 2, 1, 1, 1, 2, 4, 6, 7, 7, 7, 8, 9, 8, 7, 7, 8, 9, 10, 12, 13, 12, 9, 6], dtype=np.float64
)
_PASSED = np.concatenate([[0.0], np.cumsum(_HOURLY)]) / _HOURLY.sum()
_HOURS = np.arange(25) / 24


def moments(activity: Floats) -> Ints:
    """The ms since the start at which so many days' worth of `activity` [n] have passed."""
    days, part = np.divmod(activity, 1.0)
    moment = (days + np.interp(part, _PASSED, _HOURS)) * DAY
    return moment.astype(np.int64)


def activity_after(days: float) -> float:
    """The days' worth of activity in the first `days` days."""
    whole, part = divmod(days, 1.0)
    return float(whole + np.interp(part, _HOURS, _PASSED))


def slices(platform: Platform) -> Iterator[tuple[float, float]]:
    """Successive spans of activity, each of about SLICE_VIEWS views and of a day at most.

    Ends with the platform's days; without end where it runs for a number of events.
    """
    crowd = 1 + platform.bots * max(platform.bot_rate - 1, 0)
    views = platform.users * crowd * platform.sessions_a_day * platform.contents
    width = min(1.0, SLICE_VIEWS / views)
    last = np.inf if platform.events is not None else activity_after(platform.days)
    number = 0
    while number * width < last:
        yield number * width, min((number + 1) * width, last)
        number += 1
