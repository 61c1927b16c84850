"""Where the buckets of a tile with few of them meet, in Triton: once a batch, for all heads.

Where times ascend along the columns of a tile, the buckets of a row do not come back once they have
been left. So a row has two borders at most: a kernel compares the number of a column with these,
and neither takes times from one another nor looks anything up.

R rows of a tile, of the block whose list it is in · X its columns.
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from kernels.hstu_attention_tile import bounds, edge_of, elapsed, read_clock

SHARES = 8  # programs of a block


def find_borders(
    entries: Tensor,
    counts: Tensor,
    clocks: tuple[Tensor, Tensor],
    sequences: tuple[Any, ...],
    longest: int,
    buckets: int,
    sides: tuple[int, int],
    *,
    of_keys: bool,
) -> Tensor:
    """[blocks, width, R]: of each tile of two or three buckets, and each row, two bfloat16 as one
    int32: how many columns are before the second bucket, and how many before the third; of tiles
    of queries, whose columns are keys, how many are after the first, and how many after the second.
    Other tiles have anything at all.
    """
    own, other = sides
    borders = entries.new_empty(*entries.shape, own)
    _find_borders[(len(sequences[0]) - 1, triton.cdiv(longest, own), SHARES)](
        *(borders, entries, counts, *clocks, sequences, entries.shape[1], buckets),
        R=own,
        X=other,
        OF_KEYS=of_keys,
        num_warps=2,
    )
    return borders


@triton.jit
def _find_borders(
    borders,
    entries,
    counts,
    query_clock,
    key_clock,
    sequences,
    width,
    buckets,
    R: tl.constexpr,
    X: tl.constexpr,
    OF_KEYS: tl.constexpr,
):
    """The borders of a share of the tiles of a block."""
    b, own, share = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    start, length, _, _ = bounds(sequences, b)
    if own * R >= length:
        return
    block = start // R + b + own
    r_R = tl.arange(0, R)
    token_R = start + tl.minimum(own * R + r_R, length - 1)
    own_clock = read_clock((key_clock if OF_KEYS else query_clock) + token_R)
    first, last = tl.load(counts + block * 6), tl.load(counts + block * 6 + 2)
    for step in range(first + share, last, tl.num_programs(2)):
        entry = tl.load(entries + block * width + step)
        x, bucket = entry & 0xFFFFF, entry >> 20
        columns = (query_clock if OF_KEYS else key_clock) + (start + x * X)
        second_R = _border(columns, own_clock, bucket + 1, buckets, X, OF_KEYS)
        third_R = _border(columns, own_clock, bucket + 2, buckets, X, OF_KEYS)
        tl.store(borders + (block * width + x) * R + r_R, (second_R >> 16) | third_R)


@triton.jit
def _border(columns, own_clock, bucket, buckets, X: tl.constexpr, OF_KEYS: tl.constexpr):
    """How many columns of each row are before a bucket, or else in it or after, by bisection; as a
    float's bits. There is none after the last bucket.
    """
    edge, is_bucket = edge_of(bucket), bucket < buckets
    count_R = (own_clock[0] * 0).to(tl.int32)
    for part in tl.static_range(1, 32):
        if X >> part > 0:
            count_R = _further(count_R, X >> part, columns, own_clock, edge, is_bucket, OF_KEYS)
    count_R = _further(count_R, 1, columns, own_clock, edge, is_bucket, OF_KEYS)
    return count_R.to(tl.float32).to(tl.int32, bitcast=True)


@triton.jit
def _further(count_R, size, columns, own_clock, edge, is_bucket, OF_KEYS: tl.constexpr):
    """A count, and as many more as `size` if the last of these belongs to them."""
    clock = read_clock(columns + count_R + (size - 1))
    elapsed_R = elapsed(clock, own_clock) if OF_KEYS else elapsed(own_clock, clock)
    is_in_R = (elapsed_R >= edge) & is_bucket
    return tl.where(is_in_R != OF_KEYS, count_R + size, count_R)
