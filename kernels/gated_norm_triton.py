"""LayerNorm with a gate and dropout in Triton, or with neither: each row is read and written once.

A backward pass reckons mean and variance again, since it has the row at hand anyway.

T tokens of all sequences, end to end · M width of a row · P programs of the backward.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.dropout import NO_DROPOUT, Dropout
from kernels.hashing import key_of
from kernels.hashing_triton import mixed, uniform_of

ENTRIES = 4096
"""Of x, that a program holds at a time."""

PROGRAMS = 512
"""Most programs of a backward pass, each with its own sums of the gradients of weight and bias."""


def forward(
    x_TM: Tensor,
    weight_M: Tensor,
    bias_M: Tensor,
    gate_TM: Tensor | None = None,
    dropout: Dropout = NO_DROPOUT,
    eps: float = 1e-5,
) -> Tensor:
    """LayerNorm(x) ⊙ gate with dropout: [T, M]. Without a gate, LayerNorm(x)."""
    y_TM = torch.empty_like(x_TM, memory_format=torch.contiguous_format)
    rows, constants = _rows(x_TM, gate_TM), _constants(x_TM, gate_TM, dropout)
    programs = triton.cdiv(len(x_TM), constants["BLOCK_T"])
    parameters = weight_M.contiguous(), bias_M.contiguous()
    _forward[(programs,)](y_TM, *rows, *parameters, *_draw(x_TM, dropout), eps, **constants)
    return y_TM


def backward(
    dy_TM: Tensor,
    x_TM: Tensor,
    weight_M: Tensor,
    bias_M: Tensor,
    gate_TM: Tensor | None = None,
    dropout: Dropout = NO_DROPOUT,
    eps: float = 1e-5,
) -> tuple[Tensor, ...]:
    """The gradients of x, weight, bias (both float32) and, where there is one, of the gate."""
    dx_TM = torch.empty_like(x_TM, memory_format=torch.contiguous_format)
    dgates = [] if gate_TM is None else [torch.empty_like(dx_TM)]
    constants = _constants(x_TM, gate_TM, dropout)
    programs = min(PROGRAMS, triton.cdiv(len(x_TM), constants["BLOCK_T"]))
    dweight_PM, dbias_PM = dx_TM.new_empty(2, programs, x_TM.shape[1], dtype=torch.float32)
    _backward[(programs,)](
        *(dx_TM, dgates[0] if dgates else None),
        *(dweight_PM, dbias_PM, dy_TM.contiguous()),
        *_rows(x_TM, gate_TM),
        *(weight_M.contiguous(), bias_M.contiguous()),
        *_draw(x_TM, dropout),
        eps,
        **constants,
    )
    return dx_TM, dweight_PM.sum(0), dbias_PM.sum(0), *dgates


def _rows(x_TM: Tensor, gate_TM: Tensor | None) -> tuple[Any, ...]:
    """x and the gate, each with the stride of its rows, which may be parts of longer ones."""
    x_TM = x_TM if x_TM.stride(1) == 1 else x_TM.contiguous()
    if gate_TM is None:
        return x_TM, x_TM.stride(0), None, 0
    gate_TM = gate_TM if gate_TM.stride(1) == 1 else gate_TM.contiguous()
    return x_TM, x_TM.stride(0), gate_TM, gate_TM.stride(0)


def _draw(x_TM: Tensor, dropout: Dropout) -> tuple[Any, ...]:
    """What a kernel draws by: the rows' keys, the seed's hash, the threshold; and how many rows."""
    keys_T = dropout.keys_of(x_TM).contiguous() if dropout.rate else None
    return keys_T, key_of(dropout.seed), dropout.threshold, len(x_TM)


def _constants(x_TM: Tensor, gate_TM: Tensor | None, dropout: Dropout) -> dict[str, Any]:
    padded = triton.next_power_of_2(x_TM.shape[1])
    return {
        "WIDTH": x_TM.shape[1],
        "IS_GATED": gate_TM is not None,
        "DROPS": dropout.rate > 0,
        "BLOCK_T": max(1, ENTRIES // padded),
        "BLOCK_M": padded,
    }


@triton.jit(do_not_specialize=["seed", "rows"])
def _forward(
    y_ptr,
    x_ptr,
    x_stride,
    gate_ptr,
    gate_stride,
    weight_ptr,
    bias_ptr,
    keys_ptr,
    seed,
    threshold,
    rows,
    eps,
    WIDTH: tl.constexpr,
    IS_GATED: tl.constexpr,
    DROPS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    t_T = (tl.program_id(0) * BLOCK_T + tl.arange(0, BLOCK_T)).to(tl.int64)
    m_M = tl.arange(0, BLOCK_M)
    is_entry_TM = (t_T < rows)[:, None] & (m_M < WIDTH)[None, :]
    weight_M = tl.load(weight_ptr + m_M, mask=m_M < WIDTH, other=0.0).to(tl.float32)
    bias_M = tl.load(bias_ptr + m_M, mask=m_M < WIDTH, other=0.0).to(tl.float32)
    x_TM = _loaded(x_ptr, x_stride, t_T, m_M, is_entry_TM)
    unit_TM, _ = _standardized(x_TM, is_entry_TM, eps, WIDTH)
    y_TM = unit_TM * weight_M[None, :] + bias_M[None, :]
    if IS_GATED:
        y_TM *= _loaded(gate_ptr, gate_stride, t_T, m_M, is_entry_TM)
    if DROPS:
        y_TM *= _dropped(keys_ptr, seed, threshold, t_T, m_M, t_T < rows)
    tl.store(y_ptr + t_T[:, None] * WIDTH + m_M[None, :], y_TM, mask=is_entry_TM)


@triton.jit(do_not_specialize=["seed", "rows"])
def _backward(
    dx_ptr,
    dgate_ptr,
    dweight_ptr,
    dbias_ptr,
    dy_ptr,
    x_ptr,
    x_stride,
    gate_ptr,
    gate_stride,
    weight_ptr,
    bias_ptr,
    keys_ptr,
    seed,
    threshold,
    rows,
    eps,
    WIDTH: tl.constexpr,
    IS_GATED: tl.constexpr,
    DROPS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    m_M = tl.arange(0, BLOCK_M)
    weight_M = tl.load(weight_ptr + m_M, mask=m_M < WIDTH, other=0.0).to(tl.float32)
    bias_M = tl.load(bias_ptr + m_M, mask=m_M < WIDTH, other=0.0).to(tl.float32)
    dweight_M = tl.zeros([BLOCK_M], tl.float32)
    dbias_M = tl.zeros([BLOCK_M], tl.float32)
    for block in range(tl.program_id(0), tl.cdiv(rows, BLOCK_T), tl.num_programs(0)):
        t_T = (block * BLOCK_T + tl.arange(0, BLOCK_T)).to(tl.int64)
        is_entry_TM = (t_T < rows)[:, None] & (m_M < WIDTH)[None, :]
        at_TM = t_T[:, None] * WIDTH + m_M[None, :]
        x_TM = _loaded(x_ptr, x_stride, t_T, m_M, is_entry_TM)
        unit_TM, inverse_T = _standardized(x_TM, is_entry_TM, eps, WIDTH)
        dnorm_TM = _loaded(dy_ptr, WIDTH, t_T, m_M, is_entry_TM)
        if DROPS:
            dnorm_TM *= _dropped(keys_ptr, seed, threshold, t_T, m_M, t_T < rows)
        if IS_GATED:
            dgate_TM = dnorm_TM * (unit_TM * weight_M[None, :] + bias_M[None, :])
            tl.store(dgate_ptr + at_TM, dgate_TM, mask=is_entry_TM)
            dnorm_TM *= _loaded(gate_ptr, gate_stride, t_T, m_M, is_entry_TM)
        dweight_M += tl.sum(dnorm_TM * unit_TM, 0)
        dbias_M += tl.sum(dnorm_TM, 0)
        dunit_TM = dnorm_TM * weight_M[None, :]
        along_T = tl.sum(dunit_TM * unit_TM, 1) / WIDTH
        mean_T = tl.sum(dunit_TM, 1) / WIDTH
        dx_TM = (dunit_TM - mean_T[:, None] - unit_TM * along_T[:, None]) * inverse_T[:, None]
        tl.store(dx_ptr + at_TM, dx_TM, mask=is_entry_TM)
    sums_M = tl.program_id(0) * WIDTH + m_M
    tl.store(dweight_ptr + sums_M, dweight_M, mask=m_M < WIDTH)
    tl.store(dbias_ptr + sums_M, dbias_M, mask=m_M < WIDTH)


@triton.jit
def _loaded(ptr, stride, t_T, m_M, is_entry_TM):
    """Rows of a tensor as float32, zero beyond it."""
    at_TM = t_T[:, None] * stride + m_M[None, :]
    return tl.load(ptr + at_TM, mask=is_entry_TM, other=0.0).to(tl.float32)


@triton.jit
def _standardized(x_TM, is_entry_TM, eps, WIDTH: tl.constexpr):
    """Rows of mean 0 and variance 1, and what they were multiplied by for that."""
    mean_T = tl.sum(x_TM, 1) / WIDTH
    centred_TM = tl.where(is_entry_TM, x_TM - mean_T[:, None], 0.0)
    inverse_T = 1 / tl.sqrt(tl.sum(centred_TM * centred_TM, 1) / WIDTH + eps)
    return centred_TM * inverse_T[:, None], inverse_T


@triton.jit
def _dropped(keys_ptr, seed, threshold, t_T, m_M, is_row_T):
    """What dropout multiplies each element by."""
    key_T = tl.load(keys_ptr + t_T, mask=is_row_T, other=0)
    hash_TM = mixed(mixed(seed.to(tl.int64) ^ key_T)[:, None] ^ m_M[None, :].to(tl.int64))
    return tl.where(uniform_of(hash_TM) >= threshold, 1 / (1 - threshold), 0.0)
