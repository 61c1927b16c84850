"""Which implementation of an operator runs: Triton's kernels, or plain PyTorch."""

import torch
from torch import Tensor

TRITON_DTYPES = (torch.float32, torch.bfloat16)


def is_triton(tensor: Tensor, implementation: str | None) -> bool:
    """Whether Triton's kernels take this: unless told, on a GPU in float32 and bfloat16.

    Raises ValueError for a word that is neither "triton" nor "reference", and for Triton's with
    another type.
    """
    supported = tensor.dtype in TRITON_DTYPES
    asked = is_asked(tensor, implementation)
    if implementation == "triton" and not supported:
        raise ValueError(f"{tensor.dtype} is given; Triton's kernels take float32 and bfloat16")
    return asked and supported


def is_asked(tensor: Tensor, implementation: str | None) -> bool:
    """Whether Triton's kernels are asked for, or else the tensor is on a GPU.

    Raises ValueError for a word that is neither "triton" nor "reference".
    """
    if implementation not in (None, "reference", "triton"):
        raise ValueError(f'implementation is {implementation!r}, not "reference" or "triton"')
    return tensor.is_cuda if implementation is None else implementation == "triton"
