"""The hashes of `hashing` inside Triton's kernels, bit for bit."""

import triton
import triton.language as tl

from kernels import hashing

GAMMA = tl.constexpr(hashing.GAMMA - (1 << 64))
FIRST = tl.constexpr(hashing.FIRST - (1 << 64))
SECOND = tl.constexpr(hashing.SECOND - (1 << 64))
UNIFORM_SHIFT = tl.constexpr(64 - hashing.UNIFORM_BITS)
UNIFORM_MASK = tl.constexpr((1 << hashing.UNIFORM_BITS) - 1)
UNIFORM_UNIT = tl.constexpr(2.0**-hashing.UNIFORM_BITS)


@triton.jit
def mixed(state):
    """What SplitMix64 gives from states (int64): `hashed(key, a, b)` is
    `mixed(mixed(key_of(key) ^ a) ^ b)`."""
    state += GAMMA
    state = (state ^ ((state >> 30) & ((1 << 34) - 1))) * FIRST
    state = (state ^ ((state >> 27) & ((1 << 37) - 1))) * SECOND
    return state ^ ((state >> 31) & ((1 << 33) - 1))


@triton.jit
def uniform_of(hash):
    """The float32 in [0, 1) that `uniform` makes of a hash."""
    return ((hash >> UNIFORM_SHIFT) & UNIFORM_MASK).to(tl.float32) * UNIFORM_UNIT
