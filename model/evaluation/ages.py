"""Age of a content when it was engaged with: from when the trainer first saw it, in groups.

N engagements · G groups of age.
"""

import torch
from torch import Tensor

from kernels.constants import constant
from schemas.durations import UNITS

NEVER = -1
"""The time at which a content was first seen, where it was not seen before."""

GROUPS = ("new", "<1h", "<1d", "<7d", "<30d", "older")
"""Names of the groups, in order. A content is new if the trainer never saw it before."""

_ENDS = (UNITS["h"], UNITS["d"], 7 * UNITS["d"], 30 * UNITS["d"])


def age_groups(time_N: Tensor, first_seen_N: Tensor) -> Tensor:
    """The place in GROUPS of each engagement, as [N] int64, from times in ms.

    Sessions come in the order of their ends, so that an engagement may lie before the time at
    which its content was first seen; it counts as less than an hour after.
    """
    ends = constant(_ENDS, time_N.device)
    group_N = 1 + torch.bucketize(time_N - first_seen_N, ends, right=True)
    return torch.where(first_seen_N == NEVER, 0, group_N)


def members(group_N: Tensor) -> Tensor:
    """[G, N] float64: 1 where an engagement is of a group. A product with it sums by group, in an
    order that does not change from run to run, as atomic additions on a GPU would."""
    groups = torch.arange(len(GROUPS), device=group_N.device)
    return (group_N == groups[:, None]).double()
