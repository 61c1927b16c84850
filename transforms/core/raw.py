"""Raw tokens: what a user's observations would have been without attribution, runs and folding.

Two an engagement record, where it stands itself; one a scalar observation; one each value that a
set observation names. Copies are not counted, a record that joined an earlier group is.
"""

import numpy as np

from schemas.spec import Spec
from transforms.core.arrays import Ints, flags, is_first, runs, sums_before
from transforms.core.engagements import Engaged, Observed
from transforms.core.features import observed_values


def raw_tokens(seen: Observed, engaged: Engaged, spec: Spec) -> tuple[Ints, Ints]:
    """[g] the raw tokens of the life, of these observations, up to and including each group's
    first record; and [lives] those of what this firing uses up."""
    features = sum((observed_values(seen.rows, spec, n) for n in spec.features), _none(seen))
    records = 2 * (seen.engages | flags(seen.rows["joined"]))
    feature_sums, record_sums = sums_before(features), sums_before(records)

    row, start = engaged.groups.row, seen.opening[engaged.groups.life]
    at_group = feature_sums[_after_moment(seen)[row]] - feature_sums[start]
    at_group += record_sums[row + 1] - record_sums[start]

    used = features * engaged.features_used(seen) + records * engaged.records_used(seen)
    total = np.bincount(seen.life, used, seen.lives)
    return at_group, total.astype(np.int64)


def _none(seen: Observed) -> Ints:
    return np.zeros(len(seen.life), np.int64)


def _after_moment(seen: Observed) -> Ints:
    """[n] the row with which the next time, or life, begins."""
    starts, lengths = runs(is_first(seen.moment))
    return np.repeat(starts + lengths, lengths)
