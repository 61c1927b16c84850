"""Arguments of the kernels of HSTU attention, in the tuples that a tile takes."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from kernels.attention_mask import Mask

Arguments = tuple[Any, ...]


def rows(x_THW: Tensor) -> Arguments:
    """A tensor and its strides; only one whose last axis is not dense is copied."""
    x_THW = x_THW if x_THW.stride(-1) == 1 else x_THW.contiguous()
    return x_THW, x_THW.stride(0), x_THW.stride(1)


def blocks(x_THW: Tensor, length: int) -> TensorDescriptor | None:
    """A descriptor of blocks of so many rows, if the GPU has a copy engine that takes them."""
    if not x_THW.is_cuda or torch.cuda.get_device_capability(x_THW.device)[0] < 9:
        return None
    tokens, heads, width = x_THW.shape
    stride = x_THW.stride(0)
    dense = x_THW.stride(2) == 1 and (x_THW.stride(1) == width or heads == 1)
    aligned = x_THW.data_ptr() % 16 == 0 and stride % 8 == 0 and stride >= heads * width
    whole = width in (16, 32, 64, 128, 256) and x_THW.dtype == torch.bfloat16
    if not (dense and aligned and whole and tokens):
        return None
    return TensorDescriptor(x_THW, [tokens, heads * width], [stride, 1], [length, width])


def sequences(offsets_B1: Tensor, mask: Mask, divisor: float | None) -> Arguments:
    """Where sequences are, what is visible in them, and what sums are divided by."""
    targets_B = None if mask.targets_B is None else mask.targets_B.contiguous()
    return offsets_B1.contiguous(), targets_B, float(divisor or 0), mask.window, mask.prefix or None


Sizes = tuple[int, int, int, int, int | None]

# Queries and keys of a tile, warps, tiles loaded ahead, and registers of a thread, if fewer than a
# compiler would take let more programs run at one time; by what the widest head is at most.
FORWARD: dict[int, Sizes] = {
    64: (64, 64, 4, 2, 128),
    128: (64, 64, 4, 3, None),
    256: (64, 32, 4, 2, None),
}
QUERIES: dict[int, Sizes] = {
    64: (64, 64, 4, 2, 168),
    128: (64, 64, 4, 2, None),
    256: (32, 32, 4, 1, None),
}
KEYS: dict[int, Sizes] = {
    64: (64, 64, 4, 2, 168),
    128: (64, 64, 4, 2, None),
    256: (32, 32, 4, 1, None),
}
BIASED_KEYS: dict[int, Sizes] = {
    64: (32, 64, 4, 2, 168),
    128: (32, 64, 4, 3, None),
    256: (32, 32, 4, 1, None),
}
GROUP = 16  # sequences and heads whose blocks run at one time
GRANULE = 32  # tokens whose least and greatest times are known; all tiles have whole ones
SMALL: Sizes = (16, 16, 4, 1, None)
SMALL_QUERIES: Sizes = (32, 16, 4, 1, None)  # two tiles of keys each, as on a GPU
FLOAT32: Sizes = (32, 32, 4, 1, None)


def forward_constants(q_THD: Tensor, v_THV: Tensor) -> dict[str, Any]:
    """What the forward kernel is compiled for."""
    return _constants(q_THD, v_THV, FORWARD)


def query_constants(q_THD: Tensor, v_THV: Tensor) -> dict[str, Any]:
    """What the same kernel is compiled for when it gives the gradient of queries."""
    return _constants(q_THD, v_THV, QUERIES, SMALL_QUERIES)


def key_constants(q_THD: Tensor, v_THV: Tensor, *, biased: bool) -> dict[str, Any]:
    """What the kernel is compiled for that gives the gradients of keys and values."""
    return _constants(q_THD, v_THV, BIASED_KEYS if biased else KEYS)


def of_kernel(constants: dict[str, Any]) -> dict[str, Any]:
    """Constants under the names that they have in kernels."""
    named = {"BLOCK_M": "M", "BLOCK_N": "N"}
    return {named.get(name, name): x for name, x in constants.items() if name != "GRANULE"}


def _constants(
    q_THD: Tensor, v_THV: Tensor, table: dict[int, Sizes], small: Sizes = SMALL
) -> dict[str, Any]:
    """Sizes of a tile.

    A tensor on the CPU is for Triton's interpreter, which can't multiply bfloat16 and is slow:
    smaller tiles let it show in short sequences what a GPU does in long ones. On a GPU products of
    float32 take no tensor cores, and larger tiles, or rows loaded ahead, run out of registers and
    are ten times as slow.
    """
    widths = {"D": q_THD.shape[2], "V": v_THV.shape[2]}
    padded = {f"PADDED_{x}": max(triton.next_power_of_2(n), 16) for x, n in widths.items()}
    bfloat16 = q_THD.is_cuda and q_THD.dtype == torch.bfloat16
    sizes = FLOAT32 if q_THD.is_cuda else small
    if bfloat16:
        widest = max(padded.values())
        sizes = next((row for width, row in table.items() if widest <= width), FLOAT32)
    m, n, warps, stages, registers = sizes
    return {
        **widths,
        **padded,
        "BLOCK_M": m,
        "BLOCK_N": n,
        "GRANULE": GRANULE if q_THD.is_cuda else SMALL[0],
        "OPERAND": tl.bfloat16 if bfloat16 else tl.float32,
        "num_warps": warps,
        "num_stages": stages,
        "maxnreg": registers,
    }
