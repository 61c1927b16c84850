"""One tile of HSTU attention in Triton: what its forward and backward kernels have in common.

A tile is M queries i and N keys j of one head of one sequence. H heads · D width of a query or key
head · V width of a value head. Arguments that belong together come as tuples:

- rows `(pointer, token_stride, head_stride)` of queries, keys, values and the like, whose last axis
  has stride one;
- `sequences`: `(offsets, targets or None, divisor, or 0 for what a sequence's last position sees,
  window or None, prefix or None)`;
- `bias`: None or `(distance, time, far, query_clock, key_clock, extent, buckets)`, as
  kernels/hstu_attention_lookup.py makes it.

OPERAND is the type in which matrices are multiplied; sums are float32. With bfloat16 a tanh is the
GPU's own, exact to 2^-11, and tables are read where a product's registers are.
"""

import triton
import triton.language as tl

from kernels import time_buckets

BUCKET_SHIFT = tl.constexpr(time_buckets.MANTISSA_BITS - time_buckets.TIME_BITS)
BELOW_ONE = tl.constexpr((time_buckets.EXPONENT_BIAS << time_buckets.TIME_BITS) - 1)
EARLIEST = tl.constexpr(1 - 0.5 ** (time_buckets.TIME_BITS + 1))  # edge_of(0)
BELOW_ZERO = tl.constexpr(128)  # entries of an extended table of positions before distance zero
TIME_ENTRIES = tl.constexpr(2 << (31 - time_buckets.MANTISSA_BITS + time_buckets.TIME_BITS))
FAR_ENTRIES = tl.constexpr(4)
UNSEEN = tl.constexpr(-40.0)  # a score whose SiLU is zero, and its derivative too


@triton.jit
def bounds(sequences, b):
    """Where sequence b starts, its length, how many are before its targets, and 1 / divisor."""
    offsets, targets, divisor, window, prefix = sequences
    start = tl.load(offsets + b)
    length = (tl.load(offsets + b + 1) - start).to(tl.int32)
    history = length
    if targets is not None:
        history = tl.maximum(length - tl.load(targets + b).to(tl.int32), 0)
    most = tl.maximum(tl.minimum(history + 1, length), 1)
    if window is not None:
        most = tl.minimum(most, window + (0 if prefix is None else prefix))
    return start, length, history, 1 / tl.where(divisor > 0, divisor, most.to(tl.float32))


@triton.jit
def place(blocks, pairs, heads, together):
    """The sequence, head and block of a program.

    A group of sequences and heads goes first with all its blocks, so that those that run at one
    time find each other's rows in the cache.
    """
    program = tl.program_id(0)
    group, within = program // (together * blocks), program % (together * blocks)
    pair = group * together + within % together
    return pair // heads, pair % heads, within // together


@triton.jit
def slot_of(
    row, column, length, history, slots, positions, is_part, M: tl.constexpr, N: tl.constexpr
):
    """Where in the band a tile is, or -1: as many rows from the block's first, and in the last slot
    the sequence's last row, if some of its tile is not seen. Tiles with targets are in none.
    """
    slot = row - column * (N // M)
    is_last = is_part & (row * M + M > length) & ((slots - 1) * M >= positions + N)
    slot = tl.where(slot < slots - 1, slot, tl.where(is_last, slots - 1, -1))
    return tl.where(tl.minimum(row * M + M, length) <= history, slot, -1)


@triton.jit
def load_rows(
    rows, h, start, i_M, length, WIDTH: tl.constexpr, PADDED: tl.constexpr, OPERAND: tl.constexpr
):
    """[M, PADDED]: rows i of a sequence and a head, zero beyond its length and WIDTH."""
    pointer, token_stride, head_stride = rows
    width_W = tl.arange(0, PADDED)
    at_MW = (start + i_M)[:, None] * token_stride + h * head_stride + width_W[None, :]
    inside_MW = (i_M < length)[:, None] & (width_W < WIDTH)[None, :]
    return tl.load(pointer + at_MW, mask=inside_MW, other=0).to(OPERAND)


@triton.jit
def load_whole_rows(
    rows,
    descriptor,
    h,
    start,
    first,
    LENGTH: tl.constexpr,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    OPERAND: tl.constexpr,
):
    """[M, PADDED]: as `load_rows`, of LENGTH rows from the first on, all within the sequence."""
    pointer, token_stride, head_stride = rows
    if descriptor is not None:
        return descriptor.load([(start + first).to(tl.int32), h * WIDTH])
    width_W = tl.arange(0, PADDED)
    token_M = start + first + tl.arange(0, LENGTH)
    at_MW = token_M[:, None] * token_stride + h * head_stride + width_W[None, :]
    if WIDTH == PADDED:
        x_MW = tl.load(pointer + at_MW)
    else:
        x_MW = tl.load(pointer + at_MW, mask=(width_W < WIDTH)[None, :], other=0)
    return x_MW.to(OPERAND)


@triton.jit
def store_rows(rows, x_MW, h, start, i_M, length, WIDTH: tl.constexpr):
    """Write what `load_rows` would load."""
    pointer, token_stride, head_stride = rows
    width_W = tl.arange(0, x_MW.shape[1])
    at_MW = (start + i_M)[:, None] * token_stride + h * head_stride + width_W[None, :]
    inside_MW = (i_M < length)[:, None] & (width_W < WIDTH)[None, :]
    tl.store(pointer + at_MW, x_MW.to(pointer.dtype.element_ty), mask=inside_MW)


@triton.jit
def is_visible(i, j, length, history, sequences):
    """What is not after a query and within its window; of the targets only itself; the whole
    prefix, also for what is in it. i and j are broadcast.

    Without any of these rows beyond the sequence, which are zero, see what they like.
    """
    targets, window, prefix = sequences[1], sequences[3], sequences[4]
    visible = i >= j
    if targets is not None:
        visible &= (i < length) & ((j < history) | (i == j))
    if window is not None:
        near = tl.minimum(i, history) - j < window
        if prefix is not None:
            near |= j < prefix
        visible &= near
    if prefix is not None:
        visible |= tl.maximum(i, j) < tl.minimum(prefix, history)
    return visible


@triton.jit
def read(pointer, OPERAND: tl.constexpr):
    """float32 at each pointer, in the layout that the pointers have."""
    if tl.bfloat16 == OPERAND:
        return tl.inline_asm_elementwise(
            "ld.global.nc.f32 $0, [$1];", "=f,l", [pointer], tl.float32, is_pure=True, pack=1
        )
    return tl.load(pointer)


@triton.jit
def read_clock(pointer):
    """The two float32 that a time is the sum of; the difference of two times is then exact."""
    halves = tl.load(pointer)
    upper = halves.to(tl.int32).to(tl.float32, bitcast=True)
    return upper, (halves >> 32).to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def row_clock(clock, at_N):
    """[1, N]: the clock of each column of a tile."""
    upper_N, lower_N = read_clock(clock + at_N)
    return upper_N[None, :], lower_N[None, :]


@triton.jit
def direct_row_clock(clock, at_N, OPERAND: tl.constexpr):
    """[1, N]: the same, where a product's registers are: better for few rows of a thread."""
    if tl.bfloat16 == OPERAND:
        return tl.inline_asm_elementwise(
            "ld.global.nc.v2.f32 {$0, $1}, [$2];",
            "=f,=f,l",
            [clock + at_N[None, :].to(tl.int64)],
            (tl.float32, tl.float32),
            is_pure=True,
            pack=1,
        )
    return row_clock(clock, at_N)


@triton.jit
def column_clock(clock, at_M):
    """[M, 1]: the clock of each row of a tile."""
    upper_M, lower_M = read_clock(clock + at_M)
    return upper_M[:, None], lower_M[:, None]


@triton.jit
def leading_bits(elapsed_ms):
    """The number of a time's entry in a table of times, of one that is not below zero."""
    return tl.maximum(elapsed_ms, EARLIEST).to(tl.int32, bitcast=True) >> BUCKET_SHIFT


@triton.jit
def any_time(table, elapsed_ms, OPERAND: tl.constexpr):
    """The entry of a table of times for each time difference."""
    return read(table + leading_bits(elapsed_ms).to(tl.int64), OPERAND)


@triton.jit
def elapsed(query_clock, key_clock):
    """Query times less key times in ms, rounded once, as the float32 of an integer is."""
    return (query_clock[0] - key_clock[0]) + (query_clock[1] - key_clock[1])


@triton.jit
def edge_of(bucket):
    """The least time in a bucket, ms; of bucket 0 one that is below all others."""
    bits = tl.full((), BELOW_ONE, tl.int32) + bucket
    return (bits << BUCKET_SHIFT).to(tl.float32, bitcast=True)


@triton.jit
def bucket_of(elapsed_ms, buckets):
    """As kernels/time_buckets.py, of a float32."""
    within = tl.minimum(tl.maximum(elapsed_ms, EARLIEST), edge_of(buckets - 1))
    return (within.to(tl.int32, bitcast=True) >> BUCKET_SHIFT) - BELOW_ONE


@triton.jit
def few_biases(bias, h, bucket, OPERAND: tl.constexpr):
    """Four scalars, halves of biases of tiles with few buckets, by the first: its bias with that of
    the last position, what is more in the next bucket, what is more again in the one after that,
    and its bias alone.
    """
    row = bias[2] + (h * bias[6] + bucket) * FAR_ENTRIES
    if tl.bfloat16 == OPERAND:
        return tl.inline_asm_elementwise(
            "ld.global.nc.v4.f32 {$0, $1, $2, $3}, [$4];",
            "=f,=f,=f,=f,l",
            [row.to(tl.int64)],
            (tl.float32, tl.float32, tl.float32, tl.float32),
            is_pure=True,
            pack=1,
        )
    return tl.load(row), tl.load(row + 1), tl.load(row + 2), tl.load(row + 3)


@triton.jit
def borders_at(borders, at_M, OPERAND: tl.constexpr):
    """[M, 1], twice: how many columns of each row are before the tile's second and third bucket,
    or after it: kernels/hstu_attention_borders.py. They are read where a product's registers are.
    """
    if tl.bfloat16 == OPERAND:
        pair_M1 = tl.inline_asm_elementwise(
            "ld.global.nc.b32 $0, [$1];",
            "=r,l",
            [borders + at_M[:, None].to(tl.int64)],
            tl.int32,
            is_pure=True,
            pack=1,
        )
    else:
        pair_M1 = tl.load(borders + at_M[:, None])
    upper_M1 = (pair_M1 & -0x10000).to(tl.float32, bitcast=True)
    return (pair_M1 << 16).to(tl.float32, bitcast=True), upper_M1


@triton.jit
def is_within(border_M1, M: tl.constexpr, N: tl.constexpr, OPERAND: tl.constexpr):
    """[M, N]: 1.0 for the columns before a row's border, a whole number, else 0.0.

    Of eight columns a thread of a product has two. Taken from the border first, they leave whole
    eights, which a compiler has at hand as constants.
    """
    left_M8 = border_M1 - tl.arange(0, 8)[None, :].to(tl.float32)
    eights_X = tl.arange(0, N // 8).to(tl.float32) * 8
    if tl.bfloat16 == OPERAND:
        within_MX8 = tl.inline_asm_elementwise(
            "sub.rn.sat.f32 $0, $1, $2;",
            "=f,f,f",
            [left_M8[:, None, :], eights_X[None, :, None]],
            tl.float32,
            is_pure=True,
            pack=1,
        )
    else:
        within_MX8 = tl.where(left_M8[:, None, :] > eights_X[None, :, None], 1.0, 0.0)
    return tl.reshape(within_MX8, (M, N))


@triton.jit
def tanh(x, OPERAND: tl.constexpr):
    """The hyperbolic tangent."""
    if tl.bfloat16 == OPERAND:
        return tl.inline_asm_elementwise(
            "tanh.approx.f32 $0, $1;", "=f,f", [x], tl.float32, is_pure=True, pack=1
        )
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def activation(half, OPERAND: tl.constexpr):
    """SiLU of twice `half`; and twice its derivative less one, so that what is multiplied by the
    derivative takes one instruction, and a factor for all of a sequence.
    """
    t = tanh(half, OPERAND)
    return half * t + half, half * (1 - t * t) + t


@triton.jit
def dot(a_MK, b_KN, sum_MN=None):
    """A product of matrices, added to a sum; float32 is multiplied as such."""
    return tl.dot(a_MK, b_KN, sum_MN, input_precision="ieee")
