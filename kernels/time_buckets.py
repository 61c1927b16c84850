"""Buckets of time differences: a few an octave, exact in integers, the same on every device.

A logarithm rounds differently from device to device; the leading bits of a float do not. They are
the octave and the place in it: with m bits of the mantissa there are 2^m buckets an octave.
"""

import torch
from torch import Tensor

TIME_BITS = 1
"""Bits of the mantissa that tell buckets apart: two buckets an octave."""

MANTISSA_BITS = 23  # of a float32
EXPONENT_BIAS = 127


def time_bucket(difference: Tensor, buckets: int) -> Tensor:
    """The bucket of each time difference in ms (int64, any shape): 0 … buckets - 1, int64.

    Not above zero gives 0, 1 ms gives 1, and what would be beyond the last bucket gives the last.
    float32 has 24 bits, so within 2^-24 below its lower edge a difference is in the bucket above.
    """
    bits = difference.to(torch.float32).view(torch.int32)
    leading = (bits >> (MANTISSA_BITS - TIME_BITS)) - (EXPONENT_BIAS << TIME_BITS)
    return torch.where(difference > 0, 1 + leading, 0).clamp(max=buckets - 1).long()
