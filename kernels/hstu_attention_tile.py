"""One tile of HSTU attention in Triton: what its forward and backward kernels have in common.

A tile is M queries i and N keys j of one head of one sequence. H heads · D width of a query or key
head · V width of a value head. Arguments that belong together come as tuples:

- rows `(pointer, token_stride, head_stride)` of queries, keys, values and the like, whose last axis
  has stride one;
- `sequences`: `(offsets, targets or None, divisor, or 0 for the sequence's own length)`;
- `bias`: None or `(position, time, query_time, key_time, positions, buckets)`.

OPERAND is the type in which matrices are multiplied; sums are float32.
"""

import triton
import triton.language as tl

from kernels import time_buckets

MANTISSA_BITS = tl.constexpr(time_buckets.MANTISSA_BITS)
EXPONENT_BIAS = tl.constexpr(time_buckets.EXPONENT_BIAS)
TIME_BITS = tl.constexpr(time_buckets.TIME_BITS)


@triton.jit
def bounds(sequences, b):
    """Where sequence b starts, its length, how many are before its targets, and 1 / divisor."""
    offsets, targets, divisor = sequences
    start = tl.load(offsets + b)
    length = (tl.load(offsets + b + 1) - start).to(tl.int32)
    history = length
    if targets is not None:
        history = tl.maximum(length - tl.load(targets + b).to(tl.int32), 0)
    own_length = tl.maximum(tl.minimum(history + 1, length), 1).to(tl.float32)
    return start, length, history, 1 / tl.where(divisor > 0, divisor, own_length)


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
def store_rows(rows, x_MW, h, start, i_M, length, WIDTH: tl.constexpr):
    """Write what `load_rows` would load."""
    pointer, token_stride, head_stride = rows
    width_W = tl.arange(0, x_MW.shape[1])
    at_MW = (start + i_M)[:, None] * token_stride + h * head_stride + width_W[None, :]
    inside_MW = (i_M < length)[:, None] & (width_W < WIDTH)[None, :]
    tl.store(pointer + at_MW, x_MW.to(pointer.dtype.element_ty), mask=inside_MW)


@triton.jit
def is_visible(i_M, j_N, length, history):
    """[M, N]: what is not after a query, and of the targets only itself.

    Rows beyond the sequence see nothing, so that no bucket of their times need be looked at.
    """
    itself_MN = i_M[:, None] == j_N[None, :]
    seen_MN = (j_N < history)[None, :] | itself_MN
    return (i_M < length)[:, None] & (i_M[:, None] >= j_N[None, :]) & seen_MN


@triton.jit
def time_buckets_of(bias, start, i_M, j_N, length):
    """[M, N]: as kernels/time_buckets.py; query times less key times."""
    _, _, query_time, key_time, _, buckets = bias
    query_time_M = tl.load(query_time + start + i_M, mask=i_M < length, other=0)
    key_time_N = tl.load(key_time + start + j_N, mask=j_N < length, other=0)
    elapsed_MN = query_time_M[:, None] - key_time_N[None, :]
    bits_MN = elapsed_MN.to(tl.float32).to(tl.int32, bitcast=True)
    leading_MN = (bits_MN >> (MANTISSA_BITS - TIME_BITS)) - (EXPONENT_BIAS << TIME_BITS)
    return tl.where(elapsed_MN > 0, tl.minimum(1 + leading_MN, buckets - 1), 0)


@triton.jit
def biases(bias, h, start, i_M, j_N, length, history):
    """[M, N]: the bias of each query and key; a target stands next after the history."""
    position, time, _, _, positions, buckets = bias
    distance_MN = tl.maximum(tl.minimum(i_M, history)[:, None] - j_N[None, :], 0)
    position_MN = tl.load(position + h * positions + tl.minimum(distance_MN, positions - 1))
    bucket_MN = time_buckets_of(bias, start, i_M, j_N, length)
    time_MN = tl.load(time + h * buckets + bucket_MN)
    return position_MN.to(tl.float32) + time_MN.to(tl.float32)


@triton.jit
def weights(q_MD, k_ND, bias, alpha, h, start, i_M, j_N, length, history):
    """[M, N], both: SiLU of the scores, before the divisor, and its derivative; 0 where unseen."""
    score_MN = alpha * tl.dot(q_MD, tl.trans(k_ND), input_precision="ieee")
    if bias is not None:
        score_MN += biases(bias, h, start, i_M, j_N, length, history)
    sigmoid_MN = tl.sigmoid(score_MN)
    silu_MN = score_MN * sigmoid_MN
    slope_MN = sigmoid_MN + silu_MN * (1 - sigmoid_MN)
    visible_MN = is_visible(i_M, j_N, length, history)
    return tl.where(visible_MN, silu_MN, 0.0), tl.where(visible_MN, slope_MN, 0.0)


@triton.jit
def score_gradient(dout_MV, v_NV, slope_MN, scale):
    """[M, N]: the gradient of scores, and so of biases."""
    return tl.dot(dout_MV, tl.trans(v_NV), input_precision="ieee") * slope_MN * scale
