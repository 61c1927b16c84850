"""Sets that can be merged: theta sketches, exact while they are small.

A sketch holds the least hashes of its members, so what it is depends on the set alone and not on
the order in which it was put together. Here they are made of many sets at once, on columns, in the
compact serial form of Apache DataSketches (theta sketches, serial version 3); a test holds them
byte for byte against its library, which does all else with them, and takes members one by one.
"""

import struct

import numpy as np
import numpy.typing as npt

from transforms.core.arrays import Ints, is_first, runs

LG_K = 12
"""A sketch holds 2^12 hashes at most: a relative standard error of 1.6 %."""

THETA = "theta"

Hashes = npt.NDArray[np.uint64]

_SEED = np.uint64(9001)
_SEED_HASH = 0x93CC  # by which the library tells sketches of one seed
_FORMAT, _FAMILY = 3, 3  # of theta sketches
_FLAGS = 0x1A  # read-only, compact, ordered


def sketches_by(group: Ints, member: Ints) -> tuple[Ints, list[bytes]]:
    """The groups [n] that there are, ascending, and the sketch of the members [n] of each."""
    if not len(group):
        return group, []
    number = group - group.min()
    narrow = number.astype(np.int16) if number.max() < 1 << 15 else number
    order = np.argsort(narrow, kind="stable")  # of narrow numbers it is several times faster
    hashes, starts = _hashes(member)[order], runs(is_first(number[order]))
    ranges = zip(*(each.tolist() for each in starts), strict=True)
    return group[order[starts[0]]], [_sketch(hashes[at : at + many]) for at, many in ranges]


def _sketch(hashes: Hashes) -> bytes:
    """The serial form of a set by the hashes of its members, in any order and repeated."""
    least = np.sort(hashes)
    least = least[is_first(least)]
    count = len(least)
    if count == 1:
        head = struct.pack("<6BH", 1, _FORMAT, _FAMILY, 0, 0, _FLAGS, _SEED_HASH)
    elif count <= 1 << LG_K:
        head = struct.pack("<6BHII", 2, _FORMAT, _FAMILY, 0, 0, _FLAGS, _SEED_HASH, count, 0)
    else:
        count, theta = 1 << LG_K, int(least[1 << LG_K])
        lengths = struct.pack("<6BHII", 3, _FORMAT, _FAMILY, 0, 0, _FLAGS, _SEED_HASH, count, 0)
        head = lengths + struct.pack("<Q", theta)
    return head + least[:count].astype("<u8").tobytes()


def _hashes(member: Ints) -> Hashes:
    """[n] the upper 63 bits of the first half of MurmurHash3 x64 128 of each member's 8 bytes."""
    k = member.astype(np.uint64) * np.uint64(0x87C37B91114253D5)
    k = (k << np.uint64(31)) | (k >> np.uint64(33))
    k *= np.uint64(0x4CF5AD432745937F)
    half = (k ^ _SEED ^ np.uint64(8)) + (_SEED ^ np.uint64(8))
    other = half + (_SEED ^ np.uint64(8))
    return (_mixed(half) + _mixed(other)) >> np.uint64(1)


def _mixed(bits: Hashes) -> Hashes:
    """MurmurHash3's finalizer."""
    bits = (bits ^ (bits >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    bits = (bits ^ (bits >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return bits ^ (bits >> np.uint64(33))
