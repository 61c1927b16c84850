"""The writing of `keep_rows` in Triton: a program is some tokens, and writes keys and values.

Legend as in kernels/kept_rows.py; W what a token has of either, M tokens of a program.
"""

import triton
import triton.language as tl
from torch import Tensor

TOKENS = 16
"""Of a program."""


def write(kept_RHD: Tensor, kept_RHV: Tensor, row_T: Tensor, k_THD: Tensor, v_THV: Tensor) -> None:
    """As `keep_rows`. Raises ValueError for rows with gaps."""
    if not (kept_RHD.is_contiguous() and kept_RHV.is_contiguous()):
        raise ValueError("rows that are kept must be without gaps")
    k_TW, v_TW = k_THD.flatten(1), v_THV.flatten(1)  # views, where heads lie side by side
    keys, values = k_TW.shape[1], v_TW.shape[1]
    grid = (triton.cdiv(len(row_T), TOKENS),)
    if len(row_T):
        _write[grid](
            *(kept_RHD, k_TW, k_TW.stride(0), kept_RHV, v_TW, v_TW.stride(0)),
            *(row_T.contiguous(), len(row_T)),
            M=TOKENS,
            KEYS=keys,
            VALUES=values,
            PADDED=triton.next_power_of_2(max(keys, values)),
        )


@triton.jit(do_not_specialize=["tokens"])
def _write(
    kept_k_ptr,
    k_ptr,
    k_stride,
    kept_v_ptr,
    v_ptr,
    v_stride,
    row_ptr,
    tokens,
    M: tl.constexpr,
    KEYS: tl.constexpr,
    VALUES: tl.constexpr,
    PADDED: tl.constexpr,
):
    t_M = tl.program_id(0) * M + tl.arange(0, M)
    row_M = tl.load(row_ptr + t_M, mask=t_M < tokens, other=0)
    _copy(kept_k_ptr, k_ptr, k_stride, row_M, t_M, tokens, KEYS, PADDED)
    _copy(kept_v_ptr, v_ptr, v_stride, row_M, t_M, tokens, VALUES, PADDED)


@triton.jit
def _copy(kept_ptr, new_ptr, stride, row_M, t_M, tokens, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    w_W = tl.arange(0, PADDED)
    inside_MW = (t_M < tokens)[:, None] & (w_W < WIDTH)[None, :]
    new_MW = tl.load(new_ptr + t_M.to(tl.int64)[:, None] * stride + w_W[None, :], mask=inside_MW)
    tl.store(kept_ptr + row_M[:, None] * WIDTH + w_W[None, :], new_MW, mask=inside_MW)
