"""S13, S15: where a user's history begins anew, by erasure or by retention."""

import numpy as np

from transforms.core.arrays import Bools, Ints, is_first, last_true


def after_erasure(user: Ints, erase: Bools) -> Bools:
    """S13: True for the rows that stand after the last erasure of their user: what is left."""
    n = len(user)
    if not erase.any():
        return np.ones(n, bool)
    backwards = slice(None, None, -1)
    last_of_user = np.append(is_first(user)[1:], True)
    start = last_true(last_of_user[backwards])
    erased_from: Ints = np.cumsum(erase[backwards]) - erase[backwards]
    following: Ints = erased_from - erased_from[start]  # erasures after the row, of the same user
    alive: Bools = ~erase & (following[backwards] == 0)
    return alive


def new_lives(user: Ints, time: Ints, last_seen: Ints, retention: int | None) -> Bools:
    """S15: True where a life begins: at a user's first row, or more than R after the row before.

    `last_seen` [users] is the time of the last observation of each user before these, or a time
    so early that nothing is within R of it. Returns [rows]; see `inherits` for the first life.
    """
    first = is_first(user)
    if retention is None:
        return first
    return first | _is_late_after(user, time, last_seen, retention)


def inherits(user: Ints, time: Ints, last_seen: Ints, retention: int | None) -> Bools:
    """[users in order] True where a user's first row continues the history held of the user."""
    at = np.flatnonzero(is_first(user))
    if retention is None:
        return np.ones(len(at), bool)
    return ~_is_late_after(user, time, last_seen, retention)[at]


def _is_late_after(user: Ints, time: Ints, last_seen: Ints, retention: int) -> Bools:
    before = np.empty_like(time)
    before[1:] = time[:-1]
    first = is_first(user)
    before[first] = last_seen[user[first]]
    return time - before > retention
