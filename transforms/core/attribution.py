"""S4: an engagement soon after another with the same item joins it."""

import numpy as np

from transforms.core.arrays import Bools, Ints, is_first, last_true


def leaders(life: Ints, item: Ints, time: Ints, window: int) -> Ints:
    """For each engagement, in S2 order, the index of the one that opened its group.

    A group of one life and item takes in what comes at most `window` ms (A) after its first
    engagement; the next one opens another group. With A = 0 each engagement is its own.
    """
    n = len(life)
    if not window or not n:
        return np.arange(n)
    order = np.lexsort((item, life))  # stable: S2 order within a life and item
    first = is_first(life[order], item[order])
    opens = _reached(first, _first_beyond(np.cumsum(first), time[order], window))
    leader = np.empty(n, np.int64)
    leader[order] = order[last_true(opens)]
    return leader


def _first_beyond(run: Ints, time: Ints, window: int) -> Ints:
    """The first index of another run, or of a time more than `window` later in the same run."""
    since = time - time.min()
    until = since + window
    if (int(since.max()) + window + 1) * int(run[-1] + 1) >= 1 << 62:
        ranks = np.unique(np.concatenate([since, until]), return_inverse=True)[1]
        since, until = ranks[: len(time)], ranks[len(time) :]
    span = int(until.max()) + 1
    beyond: Ints = np.searchsorted(run * span + since, run * span + until, side="right")
    return beyond


def _reached(start: Bools, jump: Ints) -> Bools:
    """The rows reached from `start` by following `jump`, in log n steps of doubled length."""
    n = len(jump)
    reached = np.append(start, False)
    jump = np.append(jump, n)
    while (ahead := jump[:n][reached[:n]]).min(initial=n) < n:
        reached[ahead] = True
        reached[n] = False
        jump = jump[jump]
    return reached[:n]
