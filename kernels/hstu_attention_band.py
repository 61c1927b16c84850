"""Sums over the tiles of HSTU attention that left the gradients of their scores in memory.

Those are the tiles of the band along the diagonal (kernels/hstu_attention_plan.py). They are added
up by bucket, as a product with which bucket each score is in, for all heads at once; and, all that
are as far from it, element by element, and then by distance.

H heads · C time buckets · M queries and N keys of a tile · E elements of it · R rows of it at once
· B blocks of keys at once · W distances.
"""

import triton
import triton.language as tl

from kernels.hstu_attention_tile import (
    BELOW_ONE,
    bucket_of,
    dot,
    elapsed,
    leading_bits,
    read_clock,
)

# Twice: 16 buckets of 16 elements are 1 where they are the element's; times 8 heads' elements.
MULTIPLY = tl.constexpr(
    """{
    .reg .b32 bucket, one_0, one_1, one_2, one_3;
    mov.b32 bucket, $12;
"""
    + "    add.u32 bucket, bucket, 0x00080008;\n".join(
        f"""
    set.eq.bf16x2.bf16x2 one_0, $10, bucket;
    set.eq.bf16x2.bf16x2 one_2, $11, bucket;
    add.u32 bucket, bucket, 0x00080008;
    set.eq.bf16x2.bf16x2 one_1, $10, bucket;
    set.eq.bf16x2.bf16x2 one_3, $11, bucket;
    mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
        {{${at}, ${at + 1}, ${at + 2}, ${at + 3}}}, {{one_0, one_1, one_2, one_3}}, {{$8, $9}},
        {{${13 + at}, ${14 + at}, ${15 + at}, ${16 + at}}};
"""
        for at in (0, 4)
    )
    + "}"
)


@triton.jit(do_not_specialize=["number", "slots"])
def by_bucket(
    sums,
    leaves,
    in_band,
    origins,
    bias,
    number,
    heads,
    slots,
    M: tl.constexpr,
    N: tl.constexpr,
    C: tl.constexpr,
    CHUNK: tl.constexpr,
    E: tl.constexpr,
    PADDED_H: tl.constexpr,
):
    """The sums by bucket of a share of the tiles of the band."""
    c_C, h_H = tl.arange(0, CHUNK), tl.arange(0, PADDED_H)
    sums += tl.program_id(0) * heads * C
    for tile_number in range(tl.program_id(0), number * slots, tl.num_programs(0)):
        block, slot = tile_number // slots, tile_number % slots
        span = tl.load(in_band + tile_number)
        if span >= 0:
            token = tl.load(origins + block * 4 + 2)
            query_token = token + slot * M
            if slot == slots - 1:
                query_token = tl.load(origins + block * 4 + 3)
            tile = leaves + (tl.full((), 0, tl.int64) + tile_number) * heads * (N * M)
            for least in range(span & 0xFFFF, (span >> 16) + 1, CHUNK):
                sum_HC = tl.zeros((PADDED_H, CHUNK), tl.float32)
                for element in range(0, N * M, E):
                    at_E = element + tl.arange(0, E)
                    leaf_HE = tl.load(
                        tile + h_H[:, None] * (N * M) + at_E[None, :],
                        mask=(h_H < heads)[:, None],
                        other=0,
                    )
                    query = read_clock(bias[3] + query_token + at_E % M)
                    key = read_clock(bias[4] + token + at_E // M)
                    bucket_E = bucket_of(elapsed(query, key), bias[6]) - least
                    is_in_EC = tl.where(bucket_E[:, None] == c_C[None, :], 1.0, 0.0)
                    sum_HC = dot(leaf_HE, is_in_EC, sum_HC)
                bucket_1C = (least + c_C)[None, :]
                at_HC = sums + h_H[:, None] * C + bucket_1C
                inside_HC = (h_H < heads)[:, None] & (bucket_1C < C)
                tl.store(at_HC, tl.load(at_HC, mask=inside_HC) + sum_HC, mask=inside_HC)
                tl.debug_barrier()  # another thread may add to it next


@triton.jit(do_not_specialize=["number", "slots"])
def by_bucket_in_warps(
    sums,
    leaves,
    in_band,
    origins,
    bias,
    number,
    heads,
    slots,
    M: tl.constexpr,
    N: tl.constexpr,
    C: tl.constexpr,
    R: tl.constexpr,
):
    """As `by_bucket`, for bfloat16: a warp, whose threads' registers are what they multiply.

    A tensor of 32 is a register of each thread, L; its number is asked for, so that whatever way
    tensors are laid out it is the right one. What a thread holds of a product of 16 buckets, 16
    elements and 8 heads is the matrix instruction's own: see PTX, mma.m16n8k16; but elements, whose
    order does not matter, are in an order that lets a thread load four at once.
    """
    lane_L = tl.inline_asm_elementwise(
        "mov.u32 $0, %laneid;", "=r,r", [tl.arange(0, 32)], tl.int32, is_pure=True, pack=1
    )
    g_L, t_L = lane_L // 4, lane_L % 4
    sums += tl.program_id(0) * heads * C
    for piece in range(tl.program_id(0), number * slots * (N // R), tl.num_programs(0)):
        tile_number, first_j = piece // (N // R), piece % (N // R) * R
        block, slot = tile_number // slots, tile_number % slots
        span = tl.load(in_band + tile_number)
        if span >= 0:
            token = tl.load(origins + block * 4 + 2)
            query_token = token + slot * M
            if slot == slots - 1:
                query_token = tl.load(origins + block * 4 + 3)
            for least in range(span & 0xFFFF, (span >> 16) + 1, 32):
                first_L = (BELOW_ONE + least + g_L) * 0x10001 | 0x40004000
                for head in range(0, heads, 8):
                    h_L = head + g_L
                    tile_L = (tl.full((), 0, tl.int64) + tile_number) * heads + h_L
                    row_L = (leaves + tile_L * (N * M)).to(tl.pointer_type(tl.int64)) + t_L
                    clock, key_clock = bias[3] + query_token + t_L * 4, bias[4] + token
                    a, b, c, d, e, f, g, h = _eight_sums(
                        row_L, h_L < heads, clock, key_clock, first_L, first_j, bias[6], M, R
                    )
                    h_L = head + t_L * 2
                    at_L = sums + h_L * C + least + g_L
                    limit_L = tl.where(h_L < heads, C - least - g_L, 0)
                    _add_four(at_L, a, c, e, g, limit_L)
                    limit_L = tl.where(h_L + 1 < heads, limit_L, 0)
                    _add_four(at_L + C, b, d, f, h, limit_L)
                tl.debug_barrier()  # another thread may add to it next


@triton.jit
def _eight_sums(
    row_L,
    inside_L,
    clock,
    key_clock,
    first_L,
    first_j,
    buckets,
    M: tl.constexpr,
    R: tl.constexpr,
):
    """What each thread holds of the sums of 8 heads and 32 buckets, over R rows of a tile."""
    a = tl.zeros((32,), tl.float32)
    b, c, d, e, f, g, h = a, a, a, a, a, a, a
    for part in tl.static_range(M // 16):
        query_0, query_1 = read_clock(clock + part * 16), read_clock(clock + part * 16 + 1)
        query_2, query_3 = read_clock(clock + part * 16 + 2), read_clock(clock + part * 16 + 3)
        for j in tl.range(first_j, first_j + R, loop_unroll_factor=4):
            four_L = tl.load(row_L + (j * M + part * 16) // 4, mask=inside_L, other=0)
            key = read_clock(key_clock + j)
            pair_0 = _pattern(query_0, query_1, key, buckets)
            pair_2 = _pattern(query_2, query_3, key, buckets)
            lower, upper = four_L.to(tl.int32), (four_L >> 32).to(tl.int32)
            a, b, c, d, e, f, g, h = tl.inline_asm_elementwise(
                MULTIPLY,
                "=f,=f,=f,=f,=f,=f,=f,=f,r,r,r,r,r,f,f,f,f,f,f,f,f",
                [lower, upper, pair_0, pair_2, first_L, a, b, c, d, e, f, g, h],
                (tl.float32,) * 8,
                is_pure=True,
                pack=1,
            )
    return a, b, c, d, e, f, g, h


@triton.jit
def _pattern(query_0, query_1, key, buckets):
    """Two buckets as the halves of 32 bits, each the pattern of another bfloat16."""
    most = BELOW_ONE + buckets - 1
    lower = tl.minimum(leading_bits(elapsed(query_0, key)), most)
    upper = tl.minimum(leading_bits(elapsed(query_1, key)), most)
    return lower | (upper << 16) | 0x40004000


@triton.jit
def _add_four(pointer, first, second, third, fourth, limit):
    """Add sums of every eighth bucket to what is in memory, if they are within the limit."""
    _add(pointer, first, limit > 0)
    _add(pointer + 8, second, limit > 8)
    _add(pointer + 16, third, limit > 16)
    _add(pointer + 24, fourth, limit > 24)


@triton.jit
def _add(pointer, more, mask):
    tl.store(pointer, tl.load(pointer, mask=mask) + more, mask=mask)


@triton.jit(do_not_specialize=["number", "slots"])
def add_tiles(
    sums,
    leaves,
    in_band,
    number,
    heads,
    slots,
    SIZE: tl.constexpr,
    E: tl.constexpr,
    B: tl.constexpr,
):
    """The sums of a share of the tiles as far from the diagonal, element by element."""
    tile, share, chunk = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    slot, h, shares = tile // heads, tile % heads, tl.num_programs(1)
    at_E = chunk * E + tl.arange(0, E)
    sum_E = tl.zeros((E,), tl.float32)
    for first in range(share * B, number, shares * B):
        block_B = first + tl.arange(0, B)
        at_B = block_B * slots + slot
        is_in_B = tl.load(in_band + at_B, mask=block_B < number, other=-1) != -1
        at_BE = (at_B * heads + h).to(tl.int64)[:, None] * SIZE + at_E[None, :]
        leaf_BE = tl.load(leaves + at_BE, mask=is_in_B[:, None], other=0)
        sum_E += tl.sum(leaf_BE.to(tl.float32), 0)
    tl.store(sums + (share * slots * heads + tile) * SIZE + at_E, sum_E)


@triton.jit(do_not_specialize=["tiles_of_share"])
def by_distance(sums, tiles, tiles_of_share, M: tl.constexpr, N: tl.constexpr, S: tl.constexpr):
    """The sums by distance, from -M on, of a tile's S shares; those of each M of its keys apart."""
    tile, part = tl.program_id(0), tl.program_id(1)
    w_W, j_M1 = tl.arange(0, 2 * M), tl.arange(0, M)[:, None]
    i_MW = w_W[None, :] + j_M1 - M
    inside_MW = (i_MW >= 0) & (i_MW < M)
    sum_W = tl.zeros((2 * M,), tl.float32)
    for share in range(S):
        at_MW = (share * tiles_of_share + tile) * (N * M) + (part * M + j_M1) * M + i_MW
        sum_W += tl.sum(tl.load(tiles + at_MW, mask=inside_MW, other=0), 0)
    tl.store(sums + (tile * (N // M) + part) * 2 * M + w_W, sum_W)


@triton.jit(do_not_specialize=["slots", "extent"])
def add_up(
    dposition,
    dtime,
    far,
    of_time,
    of_band,
    of_others,
    slots,
    extent,
    positions,
    buckets,
    M: tl.constexpr,
    N: tl.constexpr,
    C: tl.constexpr,
    X: tl.constexpr,
):
    """A head's gradients of both tables: of time as it was summed, of which `far` in all is beyond
    all positions; of position from the sums by distance of the band and of others, which begin at
    -2 N: what is below 0 belongs to 0, and what is beyond the last to the last.
    """
    h, heads = tl.program_id(0), tl.num_programs(0)
    c_C = tl.arange(0, C)
    time_C = tl.load(of_time + h * C + c_C)
    tl.store(dtime + h * buckets + c_C, time_C.to(dtime.dtype.element_ty), mask=c_C < buckets)
    dposition += h * positions
    kind: tl.constexpr = dposition.dtype.element_ty
    least = tl.full((), 0.0, tl.float32)
    most = tl.load(far + h)
    for first in range(-2 * N, tl.maximum(tl.maximum(extent, slots * M + N), positions), X):
        distance_X = first + tl.arange(0, X)
        at_X = distance_X + 2 * N
        sum_X = tl.load(of_others + h * extent + at_X, mask=at_X < extent, other=0)
        sum_X += _of_band(of_band, distance_X + N, h, heads, slots, M, N)
        is_most_X = distance_X >= positions - 1
        most += tl.sum(tl.where(is_most_X, sum_X, 0.0), 0)
        least += tl.sum(tl.where((distance_X <= 0) & (is_most_X == 0), sum_X, 0.0), 0)
        inside_X = (distance_X > 0) & (is_most_X == 0)
        tl.store(dposition + distance_X, sum_X.to(kind), mask=inside_X)
    if positions > 1:
        tl.store(dposition, least.to(kind))
        tl.store(dposition + positions - 1, most.to(kind))
    else:
        tl.store(dposition, (least + most).to(kind))


@triton.jit
def _of_band(sums, x_X, h, heads, slots, M: tl.constexpr, N: tl.constexpr):
    """The sums of all tiles of the band at some distances, from -N on: each slot is M further than
    the one before, and each M of its keys as much nearer than those before.
    """
    sum_X = tl.zeros(x_X.shape, tl.float32)
    PARTS: tl.constexpr = N // M
    for part in tl.static_range(PARTS):
        for half in tl.static_range(2):
            slot_X = x_X // M - (PARTS - part - 1 + half)
            inside_X = (x_X >= 0) & (slot_X >= 0) & (slot_X < slots)
            at_X = (((slot_X * heads + h) * PARTS + part) * 2 + half) * M + x_X % M
            sum_X += tl.load(sums + at_X, mask=inside_X, other=0)
    return sum_X
