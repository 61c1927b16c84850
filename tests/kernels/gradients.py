"""Values and gradients of an operator, by name."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]


def results(operator: Callable[..., Tensor], inputs: Tensors, dy: Tensor) -> dict[str, Tensor]:
    """`y`, and the gradient of each input, where dy is that of y."""
    leaves = {name: x.detach().requires_grad_() for name, x in inputs.items()}
    y = operator(**leaves)
    gradients = torch.autograd.grad(
        y, list(leaves.values()), dy.to(y.dtype), materialize_grads=True
    )
    return {"y": y.detach(), **dict(zip(leaves, gradients, strict=True))}


def as_type(tensors: Tensors, to: torch.dtype | torch.device) -> dict[str, Tensor]:
    """All of them in another type, or on another device."""
    return {name: x.to(to) for name, x in tensors.items()}


def randoms(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Standard normal tensors of these shapes, float32."""
    chance = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=chance) for name, shape in shapes.items()}
