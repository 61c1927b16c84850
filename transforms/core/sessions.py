"""S8: engagements make sessions, and a session is complete when nothing can join it any more."""

import numpy as np

from transforms.core.arrays import Bools, Ints, is_first, place_in_run


def session_starts(
    life: Ints, time: Ints, ends_before: Ints, gap: int, max_contents: int | None
) -> Bools:
    """True at each engagement (of S4's groups, in S2 order) that opens a session.

    It does so more than `gap` ms (G) after the one before it, or where an end mark lies between
    the two, or where the session holds `max_contents` already. `ends_before` counts the end marks
    of the life at earlier times: at one time they stand after the engagements.
    """
    first = is_first(life, ends_before)
    first[1:] |= time[1:] - time[:-1] > gap
    if max_contents is not None:
        first |= place_in_run(first) % max_contents == 0
    return first


def final_from(
    last: Ints, contents: Ints, end: Ints, gap: int, attribution: int, max_contents: int | None
) -> Ints:
    """The event time up to which observations must be final for each session to be complete.

    `last` is the time of its last engagement, `end` that of the first end mark after it (NEVER
    where there is none). Add the horizon L for the watermark that completes it.
    """
    when = last + gap
    marked = end <= when  # an end mark after that can't be what closed it
    when = np.where(marked, np.minimum(when, np.where(marked, end, 0) + attribution), when)
    if max_contents is not None:
        when = np.where(contents == max_contents, np.minimum(when, last + attribution), when)
    return when
