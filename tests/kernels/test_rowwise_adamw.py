"""Rowwise AdamW: against plain loops, PyTorch's AdamW where both are the same, and float64."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.rowwise_adamw import rowwise_adamw_
from tests.kernels.precision import too_far

OPTIONS: dict[str, Any] = {"lr": 0.1, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.03}
STATES = ("table", "m", "v", "step")
State = dict[str, Tensor]


def state(rows: int, width: int, dtype: torch.dtype = torch.float64, steps: int = 0) -> State:
    """A table and its state; after some steps there is something in all of it."""
    chance = torch.Generator().manual_seed(rows)
    table, m = torch.randn(2, rows, width, generator=chance, dtype=torch.float64).to(dtype)
    v = torch.rand(rows, generator=chance, dtype=torch.float64).to(dtype)
    step = torch.randint(steps + 1, (rows,), generator=chance)
    return {"table": table, "m": m * bool(steps), "v": v * bool(steps), "step": step}


def stepped(before: State, rows_U: Tensor, grad_UM: Tensor, **options: Any) -> State:
    """The state after a step."""
    table, m, v, step = (before[name].clone() for name in STATES)
    rowwise_adamw_(table, m, v, step, rows_U, grad_UM, **{**OPTIONS, **options})
    return {"table": table, "m": m, "v": v, "step": step}


def by_loops(before: State, rows_U: Tensor, grad_UM: Tensor) -> State:
    """The step in plain loops, number by number."""
    after = {name: before[name].clone() for name in STATES}
    (first, second), lr = OPTIONS["betas"], OPTIONS["lr"]
    for row, gradient in zip(rows_U.tolist(), grad_UM.tolist(), strict=True):
        after["step"][row] += 1
        steps = int(after["step"][row])
        mean = sum(g * g for g in gradient) / len(gradient)
        after["v"][row] = second * after["v"][row] + (1 - second) * mean
        root = math.sqrt(float(after["v"][row]) / (1 - second**steps)) + OPTIONS["eps"]
        for column, g in enumerate(gradient):
            m = first * float(after["m"][row, column]) + (1 - first) * g
            after["m"][row, column] = m
            after["table"][row, column] *= 1 - lr * OPTIONS["weight_decay"]
            after["table"][row, column] -= lr * m / (1 - first**steps) / root
    return after


@settings(max_examples=40)
@given(st.integers(1, 4), st.lists(st.sets(st.integers(0, 4)), max_size=6))
def test_many_steps_are_those_of_plain_loops(width: int, steps: list[set[int]]) -> None:
    found = expected = state(5, width)
    for number, rows in enumerate(steps):
        chance = torch.Generator().manual_seed(number)
        rows_U = torch.tensor(sorted(rows, reverse=True), dtype=torch.int64)
        grad_UM = torch.randn(len(rows), width, generator=chance, dtype=torch.float64)
        found, expected = stepped(found, rows_U, grad_UM), by_loops(expected, rows_U, grad_UM)
    for name in STATES:
        torch.testing.assert_close(found[name], expected[name])


def test_with_one_column_it_is_adamw() -> None:
    found = state(6, 1)
    leaf = found["table"].clone().requires_grad_()
    optimizer = torch.optim.AdamW([leaf], **OPTIONS)
    for number in range(5):
        grad = torch.randn(6, 1, generator=torch.Generator().manual_seed(number)).double()
        leaf.grad = grad
        optimizer.step()
        found = stepped(found, torch.arange(6), grad)
    torch.testing.assert_close(found["table"], leaf.detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("named", "width"), [(3, 1), (50, 50), (7, 64), (2, 2_100), (0, 8)])
def test_triton_is_as_exact_as_plain_pytorch(
    named: int, width: int, dtype: torch.dtype, device: torch.device
) -> None:
    exact, plain, found = _three_ways(named, width, dtype, device)
    assert not too_far(_floats(found), _floats(plain), _floats(exact))
    assert torch.equal(found["step"], exact["step"])
    assert found["table"].dtype == dtype


def _three_ways(
    named: int, width: int, dtype: torch.dtype, device: torch.device, **broken: Any
) -> tuple[State, State, State]:
    """A step in float64, in plain PyTorch and in Triton, which can be given other options."""
    before = {name: x.to(device) for name, x in state(named + 9, width, steps=20).items()}
    before["table"] = before["table"].to(dtype)
    chance = torch.Generator().manual_seed(width)
    rows_U = torch.randperm(named + 9, generator=chance)[:named].to(device)
    grad_UM = torch.randn(named, width, generator=chance).to(device)
    rounded = {name: x.to(torch.float32) for name, x in _floats(before).items()}
    low = {**rounded, "table": before["table"], "step": before["step"]}
    high = {**{name: x.double() for name, x in rounded.items()}, "step": before["step"]}
    exact = stepped(high, rows_U, grad_UM, implementation="reference")
    plain = stepped(low, rows_U, grad_UM, implementation="reference")
    return exact, plain, stepped(low, rows_U, grad_UM, implementation="triton", **broken)


def _floats(of: State) -> State:
    return {name: of[name] for name in ("table", "m", "v")}


BROKEN: dict[str, tuple[dict[str, Any], set[str]]] = {
    "no decay": ({"weight_decay": 0.0}, {"table"}),
    "another rate": ({"lr": 0.101}, {"table"}),
    "first beta": ({"betas": (0.901, 0.98)}, {"table", "m"}),
    "second beta": ({"betas": (0.9, 0.981)}, {"table", "v"}),
    "eps": ({"eps": 1e-2}, {"table"}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_check_fails_what_is_broken(name: str, device: torch.device) -> None:
    options, wrong = BROKEN[name]
    exact, plain, found = _three_ways(5, 50, torch.float32, device, **options)
    assert too_far(_floats(found), _floats(plain), _floats(exact)).keys() == wrong


def no_step_counted(before: State, rows_U: Tensor, grad_UM: Tensor) -> State:
    later = {**before, "step": before["step"] + 3}
    return stepped(later, rows_U, grad_UM)


def second_moments_by_element(before: State, rows_U: Tensor, grad_UM: Tensor) -> State:
    after = stepped(before, rows_U, grad_UM)
    for column in range(grad_UM.shape[1]):
        part = slice(column, column + 1)
        alone = {name: before[name][:, part] for name in ("table", "m")}
        alone = stepped({**before, **alone}, rows_U, grad_UM[:, part])
        after["table"][:, part] = alone["table"]
    return after


@pytest.mark.parametrize("broken", [no_step_counted, second_moments_by_element])
def test_plain_loops_tell_what_is_broken(broken: Callable[..., State]) -> None:
    before = state(5, 3)
    rows_U, grad_UM = torch.tensor([4, 1]), torch.tensor([[1.0, 2, 3], [0, -1, 5]]).double()
    expected = by_loops(before, rows_U, grad_UM)
    torch.testing.assert_close(stepped(before, rows_U, grad_UM)["table"], expected["table"])
    found = broken(before, rows_U, grad_UM)
    assert too_far(_floats(found), _floats(expected), _floats(expected)).keys() >= {"table"}


@pytest.mark.parametrize("implementation", ["triton", "reference"])
def test_rows_not_named_stay_as_they_are(implementation: str, device: torch.device) -> None:
    before = {name: x.to(device) for name, x in state(8, 5, torch.float32, steps=3).items()}
    rows_U = torch.tensor([6, 2], device=device)
    after = stepped(before, rows_U, torch.ones(2, 5, device=device), implementation=implementation)
    others = torch.tensor([0, 1, 3, 4, 5, 7], device=device)
    for name in STATES:
        assert torch.equal(after[name][others], before[name][others])
        assert not torch.equal(after[name][rows_U], before[name][rows_U])


def test_what_does_not_go_together_is_refused(device: torch.device) -> None:
    before = {name: x.to(device) for name, x in state(8, 5, torch.float32).items()}
    rows_U, grad_UM = torch.tensor([1, 2], device=device), torch.ones(2, 5, device=device)
    with pytest.raises(ValueError, match=r"gradient is \(2, 5\), not 1 rows of 5"):
        stepped(before, rows_U[:1], grad_UM)
    with pytest.raises(ValueError, match=r"table, m, v and step are .*, not \[R, M\]"):
        stepped({**before, "v": before["m"]}, rows_U, grad_UM)
    with pytest.raises(ValueError, match="must be contiguous"):
        rowwise_adamw_(
            *(before["table"].T.contiguous().T, before["m"], before["v"], before["step"]),
            *(rows_U, grad_UM),
            **OPTIONS,
            implementation="triton",
        )
