"""S5: of each run of equal values of a scalar feature, the first observation is kept."""

from transforms.core.arrays import Bools, Ints, is_first


def first_of_runs(life: Ints, value: Ints, held: Bools, holds: Ints) -> Bools:
    """True for each observation, in S2 order, whose value differs from the one before it.

    `holds` [lives] is the value that a life holds from before, where `held` [lives] says so; the
    first observation of a life without one is kept.
    """
    keep = is_first(life, value)
    opening = is_first(life)
    whose = life[opening]
    keep[opening] = ~held[whose] | (value[opening] != holds[whose])
    return keep
