"""The gated norm: as exact as plain PyTorch, dropout drawn by hash, broken variants seen."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels import gated_norm_triton
from kernels.dropout import Dropout
from kernels.gated_norm import gated_norm, reference_gated_norm
from kernels.hashing import key_of
from tests.kernels.gradients import Tensors, as_type, randoms, results
from tests.kernels.precision import too_far

EPS = 1e-5
DROPOUT = Dropout(0.3, seed=7)


def inputs(rows: int, width: int) -> dict[str, Tensor]:
    """What the norm is given, means and spreads far from 0 and 1, and `dy`."""
    row, column = (rows, width), (width,)
    given = randoms({"x_TM": row, "weight_M": column, "bias_M": column, "gate_TM": row, "dy": row})
    spread = 10.0 ** torch.linspace(-3, 1, rows)[:, None]
    return {**given, "x_TM": (given["x_TM"] + 2) * spread}


def three_ways(
    given: Tensors, operator: Callable[..., Tensor] | None = None, **options: Any
) -> tuple[dict[str, Tensor], ...]:
    """Results of Triton, or another operator; of PyTorch at this precision; and the exact ones."""
    options = {"eps": EPS, **options}
    operator = operator or partial(gated_norm, implementation="triton", **options)
    plain = partial(reference_gated_norm, **options)
    values = {name: x for name, x in given.items() if name != "dy"}
    exact = results(plain, as_type(values, torch.float64), given["dy"])
    return results(operator, values, given["dy"]), results(plain, values, given["dy"]), exact


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(5, 50), (1, 3), (70, 130), (3, 2_049), (0, 8)])
@pytest.mark.parametrize("dropout", [Dropout(0.0), DROPOUT])
def test_it_is_as_exact_as_plain_pytorch(
    size: tuple[int, int], dropout: Dropout, dtype: torch.dtype, device: torch.device
) -> None:
    given = as_type(as_type(inputs(*size), dtype), device)
    assert not too_far(*three_ways(given, dropout=dropout))


def test_a_program_of_the_backward_takes_several_blocks(
    monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    monkeypatch.setattr(gated_norm_triton, "ENTRIES", 64)
    monkeypatch.setattr(gated_norm_triton, "PROGRAMS", 3)
    assert not too_far(*three_ways(as_type(inputs(31, 20), device), dropout=DROPOUT))


def test_rows_may_be_parts_of_longer_ones(device: torch.device) -> None:
    given = as_type(inputs(9, 60), device)
    parts = {name: x[..., 3:28] for name, x in given.items()}
    assert not too_far(*three_ways(parts))
    turned = {name: parts[name].T.contiguous().T for name in ("x_TM", "gate_TM", "dy")}
    assert not too_far(*three_ways({**parts, **turned}))


def test_weights_of_another_type_have_gradients_of_their_own(device: torch.device) -> None:
    given = as_type(inputs(9, 40), device)
    rows = as_type({name: given[name] for name in ("x_TM", "gate_TM", "dy")}, torch.bfloat16)
    found, plain, exact = three_ways({**given, **rows})
    assert not too_far(found, plain, exact)
    assert found["y"].dtype == found["x_TM"].dtype == torch.bfloat16
    assert found["weight_M"].dtype == found["bias_M"].dtype == torch.float32


@pytest.mark.parametrize("implementation", ["triton", "reference"])
def test_dropout_is_drawn_from_seed_key_and_column(
    implementation: str, device: torch.device
) -> None:
    keys_T = torch.tensor([5, 5, -3, 2**62], device=device)
    drawn = [[(key_of(7, key, m) % 2**64) >> 40 for m in range(90)] for key in keys_T.tolist()]
    kept = torch.tensor(drawn, device=device) >= round(0.3 * 2**24)
    ones_TM, ones_M = torch.ones(4, 90, device=device), torch.ones(90, device=device)
    found = gated_norm(
        *(ones_TM, 0 * ones_M, ones_M, 2 * ones_TM),
        eps=EPS,
        dropout=Dropout(0.3, 7, keys_T),
        implementation=implementation,
    )
    torch.testing.assert_close(found, kept * 2 / 0.7)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_without_keys_a_row_is_drawn_by_its_number() -> None:
    x_TM = torch.empty(3, 40)
    numbered = Dropout(0.5, 7, torch.arange(3))
    assert torch.equal(Dropout(0.5, 7).factor(x_TM), numbered.factor(x_TM))
    assert not torch.equal(Dropout(0.5, 8).factor(x_TM), numbered.factor(x_TM))


def zeros(**given: Tensor) -> Tensor:
    return given["x_TM"] * 0 + sum(0 * given[name].sum() for name in given)


def without_bias(*, bias_M: Tensor, **given: Any) -> Tensor:
    return reference_gated_norm(**given, bias_M=0 * bias_M, eps=EPS)


def bias_after_gate(*, bias_M: Tensor, **given: Any) -> Tensor:
    return without_bias(bias_M=bias_M, **given) + bias_M


def mean_kept(**given: Tensor) -> Tensor:
    x_TM, (weight_M, bias_M) = given["x_TM"], (given["weight_M"], given["bias_M"])
    unit_TM = (x_TM - 0.01 * x_TM.mean(1, keepdim=True)) / (x_TM.var(1, keepdim=True) + EPS).sqrt()
    return (unit_TM * weight_M + bias_M) * given["gate_TM"]


BROKEN: dict[str, Callable[..., Tensor]] = {
    "zeros": zeros,
    "no bias": without_bias,
    "bias after the gate": bias_after_gate,
    "mean and variance of others": mean_kept,
    "another eps": partial(reference_gated_norm, eps=1.01 * EPS),
    "dropout": partial(reference_gated_norm, eps=EPS, dropout=Dropout(0.01)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_check_fails_what_is_broken(name: str) -> None:
    assert "y" in too_far(*three_ways(inputs(20, 50), BROKEN[name]))


def test_the_check_fails_another_draw(device: torch.device) -> None:
    given = as_type(inputs(20, 50), device)
    other = partial(gated_norm, eps=EPS, dropout=Dropout(0.3, seed=8), implementation="triton")
    assert "y" in too_far(*three_ways(given, other, dropout=DROPOUT))


def test_what_does_not_go_together_is_refused() -> None:
    given: dict[str, Any] = {name: x for name, x in inputs(3, 4).items() if name != "dy"}
    with pytest.raises(ValueError, match=r"gate are .* not \[T, M\], \[M\], \[M\] and \[T, M\]"):
        gated_norm(**{**given, "gate_TM": given["gate_TM"][:2]}, eps=EPS)
    with pytest.raises(ValueError, match="dropout has 2 keys for 3 rows"):
        gated_norm(**given, eps=EPS, dropout=Dropout(0.1, keys_T=torch.arange(2)))
    with pytest.raises(ValueError, match=r"dropout is 1\.0, not at least 0 and less than 1"):
        Dropout(1.0)
    with pytest.raises(ValueError, match='"reference" or "triton"'):
        gated_norm(**given, eps=EPS, implementation="cuda")
    with pytest.raises(ValueError, match=r"torch\.float64 is given"):
        three_ways(as_type(inputs(3, 4), torch.float64))
