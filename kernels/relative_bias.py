"""The bias of HSTU attention, by relative position and by relative time (Zhai et al. 2024, sec. 3).

H heads · P relative positions · C time buckets · T tokens of all sequences, end to end.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class RelativeBias:
    """What is added to the score of head h, query i and key j; never held as a T × T tensor.

    That is `position_HP[h, min(distance, P - 1)]` + `time_HC[h, bucket]`: the distance in
    positions, and the bucket (kernels/time_buckets.py) of query_time_T[i] - key_time_T[j], in ms,
    int64. Both tables are learned and of the same float type.
    """

    position_HP: Tensor
    time_HC: Tensor
    query_time_T: Tensor
    key_time_T: Tensor
