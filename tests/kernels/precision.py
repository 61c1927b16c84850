"""How exact a kernel must be: about as exact as plain PyTorch at the same precision."""

from collections.abc import Mapping

import torch
from torch import Tensor

Results = Mapping[str, Tensor]
"""Values and gradients by name."""


def relative_error(found: Tensor, exact: Tensor) -> float:
    """|found - exact| / |exact|, of whole tensors, as SiLU(QKᵀ) / n makes elements tiny."""
    size = exact.double().norm()
    return float((found.double() - exact.double()).norm() / (size if size > 0 else 1))


def too_far(found: Results, plain: Results, exact: Results) -> dict[str, tuple[float, float]]:
    """What is further from float64 than twice plain PyTorch is, by name, with both errors.

    Let pass too are the rounding of a result that is exact before it, half of the type's own step,
    and a few roundings of float32 where a sum of few numbers came out exact by luck.
    """
    wrong = {}
    for name, right in exact.items():
        error, usual = relative_error(found[name], right), relative_error(plain[name], right)
        slack = torch.finfo(found[name].dtype).eps / 2 + 1e-6
        if not error <= 2 * usual + slack:  # NaN is too far
            wrong[name] = (error, usual)
    return wrong
