"""Arguments of the kernels of HSTU attention, in the tuples that a tile takes."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.relative_bias import RelativeBias

Arguments = tuple[Any, ...]


def rows(x_THW: Tensor) -> Arguments:
    """A tensor and its strides; only one whose last axis is not dense is copied."""
    x_THW = x_THW if x_THW.stride(-1) == 1 else x_THW.contiguous()
    return x_THW, x_THW.stride(0), x_THW.stride(1)


def sequences(offsets_B1: Tensor, targets_B: Tensor | None, divisor: float | None) -> Arguments:
    """Where sequences and their targets are, and what sums are divided by."""
    targets_B = None if targets_B is None else targets_B.contiguous()
    return offsets_B1.contiguous(), targets_B, float(divisor or 0)


def biases(bias: RelativeBias | None) -> Arguments | None:
    """The tables and the times of a bias, and how many positions and buckets it has."""
    if bias is None:
        return None
    tensors = (bias.position_HP, bias.time_HC, bias.query_time_T, bias.key_time_T)
    sizes = bias.position_HP.shape[1], bias.time_HC.shape[1]
    return *(x.detach().contiguous() for x in tensors), *sizes


def constants(q_THD: Tensor, v_THV: Tensor) -> dict[str, Any]:
    """What a kernel is compiled for.

    A tensor on the CPU is for Triton's interpreter, which can't multiply bfloat16 and is slow:
    smaller tiles let it show in short sequences what a GPU does in long ones. On a GPU products of
    float32 take no tensor cores, and larger tiles, or rows loaded ahead, run out of registers and
    are ten times as slow.
    """
    widths = {"D": q_THD.shape[2], "V": v_THV.shape[2]}
    padded = {f"PADDED_{x}": max(triton.next_power_of_2(n), 16) for x, n in widths.items()}
    if not q_THD.is_cuda:
        return {**widths, **padded, "BLOCK": 16, "OPERAND": tl.float32}
    if q_THD.dtype == torch.float32:
        return {**widths, **padded, "BLOCK": 32, "OPERAND": tl.float32, "num_stages": 1}
    wide = max(widths.values()) > 128
    return {**widths, **padded, "BLOCK": 32 if wide else 64, "OPERAND": tl.bfloat16}
