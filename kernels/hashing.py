"""Random numbers without a state: each is a hash of what it is for.

So a replay, a resumed run and any number of processes draw the same. The hash is SplitMix64
(Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), folded over
whole numbers. Its arithmetic is of 64 bits and wraps, so every device has the same hashes;
`hashing_triton` has them in kernels.

N any shape; numbers broadcast against each other.
"""

import math

import torch
from torch import Tensor

GAMMA = 0x9E3779B97F4A7C15
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB
UNIFORM_BITS = 24  # a float32 has as many

_WRAP = (1 << 64) - 1


def key_of(*numbers: int) -> int:
    """A hash of whole numbers, in their order, as a signed number of 64 bits; on the host.

    `key_of(a, b)` is what `hashed(a, b)` gives, and `hashed(key_of(a), b)` is another hash.
    """
    state = 0
    for number in numbers:
        state = _mixed_number(state ^ (number & _WRAP))
    return _signed(state)


def hashed(key: int, number_N: Tensor, *more_N: Tensor) -> Tensor:
    """A hash of a key and int64 numbers, in their order: int64, all 64 bits as good as random."""
    state_N = _mixed(number_N ^ key_of(key))
    for another_N in more_N:
        state_N = _mixed(another_N ^ state_N)
    return state_N


def uniform(key: int, *numbers_N: Tensor) -> Tensor:
    """Evenly spread over [0, 1), by a hash of a key and int64 numbers: float32, whole 2^-24ths."""
    return _leading(hashed(key, *numbers_N), UNIFORM_BITS).float() * 2.0**-UNIFORM_BITS


def normal(key: int, *numbers_N: Tensor) -> Tensor:
    """Standard normal, by a hash of a key and int64 numbers: float32, within ±8.6 (Box and Muller).

    Computed in float64, so that devices differ in the last bit at most, and seldom.
    """
    hash_N = hashed(key, *numbers_N)
    halves = (hash_N, _mixed(hash_N))
    radius_N, turn_N = (_leading(bits_N, 53).double() * 2.0**-53 for bits_N in halves)
    return ((-2 * torch.log1p(-radius_N)).sqrt() * torch.cos(2 * math.pi * turn_N)).float()


def _mixed(state_N: Tensor) -> Tensor:
    """What SplitMix64 gives from a state."""
    state_N = state_N + _signed(GAMMA)
    state_N = (state_N ^ _leading(state_N, 34)) * _signed(FIRST)
    state_N = (state_N ^ _leading(state_N, 37)) * _signed(SECOND)
    return state_N ^ _leading(state_N, 33)


def _mixed_number(state: int) -> int:
    state = (state + GAMMA) & _WRAP
    state = ((state ^ (state >> 30)) * FIRST) & _WRAP
    state = ((state ^ (state >> 27)) * SECOND) & _WRAP
    return state ^ (state >> 31)


def _leading(number_N: Tensor, bits: int) -> Tensor:
    """The leading bits; int64 has only the arithmetic shift, which brings the sign along."""
    return (number_N >> (64 - bits)) & ((1 << bits) - 1)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
