"""SiLU(LayerNorm(x) W + b): as exact as plain PyTorch, broken variants seen."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from benchmarks.activation_memory import kept_bytes
from kernels.norm_linear import norm_linear, reference_norm_linear
from tests.kernels.gradients import Tensors, as_type, randoms, results
from tests.kernels.precision import too_far

EPS = 1e-5
triton = partial(norm_linear, eps=EPS, implementation="triton")
reference = partial(reference_norm_linear, eps=EPS)


def inputs(rows: int, width: int, out: int) -> dict[str, Tensor]:
    """What the operator is given, and `dy`."""
    shapes: dict[str, tuple[int, ...]] = {"x_TM": (rows, width), "norm_weight_M": (width,)}
    shapes |= {"norm_bias_M": (width,), "weight_MF": (width, out), "bias_F": (out,)}
    given = randoms({**shapes, "dy": (rows, out)})
    spread = 10.0 ** torch.linspace(-3, 1, rows)[:, None]
    scaled = {"x_TM": (given["x_TM"] + 2) * spread, "weight_MF": given["weight_MF"] * width**-0.5}
    return {**given, **scaled}


def three_ways(
    given: Tensors, operator: Callable[..., Tensor] = triton
) -> tuple[dict[str, Tensor], ...]:
    """An operator's results, those of plain PyTorch at the same precision, and the exact ones."""
    values = {name: x for name, x in given.items() if name != "dy"}
    exact = results(reference, as_type(values, torch.float64), given["dy"])
    return results(operator, values, given["dy"]), results(reference, values, given["dy"]), exact


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(6, 50, 25), (1, 1, 1), (40, 64, 130), (0, 8, 3)])
def test_it_is_as_exact_as_plain_pytorch(
    size: tuple[int, int, int], dtype: torch.dtype, device: torch.device
) -> None:
    assert not too_far(*three_ways(as_type(as_type(inputs(*size), dtype), device)))


def test_weights_of_another_type_have_gradients_of_their_own(device: torch.device) -> None:
    given = as_type(inputs(9, 40, 24), device)
    rows = as_type({name: given[name] for name in ("x_TM", "dy")}, torch.bfloat16)
    found, plain, exact = three_ways({**given, **rows})
    assert not too_far(found, plain, exact)
    assert found["y"].dtype == found["x_TM"].dtype == torch.bfloat16
    assert all(found[name].dtype == torch.float32 for name in given if name not in ("x_TM", "dy"))


def test_it_keeps_its_input_and_what_silu_is_given(device: torch.device) -> None:
    given = as_type(inputs(9, 40, 24), device)
    leaves = [x.requires_grad_() for name, x in given.items() if name != "dy"]
    weights = {x.untyped_storage().data_ptr() for x in leaves[1:]}
    assert kept_bytes(
        lambda: norm_linear(*leaves, eps=EPS, implementation="triton"), weights
    ) == 4 * 9 * (40 + 24)


def without_silu(**given: Tensor) -> Tensor:
    norm = (given["norm_weight_M"], given["norm_bias_M"])
    norm_TM = layer_norm(given["x_TM"], given["x_TM"].shape[1:], *norm, EPS)
    return norm_TM @ given["weight_MF"] + given["bias_F"]


def dropped(name: str) -> Callable[..., Tensor]:
    return lambda **given: reference(*(x * (key != name) for key, x in given.items()))


BROKEN: dict[str, Callable[..., Tensor]] = {
    "no SiLU": without_silu,
    "no bias": dropped("bias_F"),
    "no bias of the norm": dropped("norm_bias_M"),
    "zeros": dropped("weight_MF"),
    "another eps": partial(reference_norm_linear, eps=1.01 * EPS),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_check_fails_what_is_broken(name: str) -> None:
    assert "y" in too_far(*three_ways(inputs(20, 50, 30), BROKEN[name]))


def test_shapes_that_do_not_go_together_are_refused() -> None:
    given = inputs(3, 4, 5)
    for name, wrong in (("weight_MF", given["weight_MF"].T), ("norm_bias_M", given["bias_F"])):
        with pytest.raises(ValueError, match=r"are not \[T, M\], \[M\], \[M\], \[M, F\] and \[F\]"):
            triton(*({**given, name: wrong}[key] for key in given if key != "dy"))
