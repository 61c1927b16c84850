"""A stack whose input is filled up to a graph's sizes says and learns what it does of it alone."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from model.config import Blocks
from model.graphed import LEAST, STEPS, Filled, Graphed, Sizes, rounded
from model.hstu import Hstu, Layout

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHAPE = Blocks(width=32, blocks=2, heads=2, query_width=16, value_width=16, positions=8)


def made(shape: Blocks = SHAPE) -> Hstu:
    """A stack with biases that differ."""
    torch.manual_seed(3)
    stack = Hstu(shape, divisor=100)
    for name, weight in stack.named_parameters():
        if name.rpartition(".")[2] in ("position_HP", "time_HC"):
            torch.nn.init.normal_(weight)
    return stack.to(DEVICE)


def given_to(lengths: list[int], seed: int = 0) -> tuple[Tensor, Layout]:
    """Positions of sequences of these lengths."""
    chance = torch.Generator().manual_seed(seed)
    positions = sum(lengths)
    times = torch.randint(0, 10**9, (2, positions), generator=chance).sort(1).values.to(DEVICE)
    offsets = torch.tensor([0, *lengths]).cumsum(0).to(DEVICE)
    x_FM = torch.randn(positions, SHAPE.width, generator=chance).to(DEVICE).requires_grad_()
    return x_FM, Layout(offsets, max(lengths), *times)


def learned(called: Graphed | Hstu, stack: Hstu, x_FM: Tensor, layout: Layout) -> list[Tensor]:
    """What is said, and the gradients of the input and of all weights; nothing that is kept holds
    what was computed, as no graph can be made while another stream's pass has the weights."""
    known_FM, _ = called(x_FM, layout)
    weight_FM = torch.linspace(-1, 1, known_FM.numel(), device=DEVICE).view_as(known_FM)
    asked = [x_FM, *stack.parameters()]
    return [known_FM.detach(), *torch.autograd.grad((known_FM * weight_FM).sum(), asked)]


@given(st.integers(1, 10**7))
def test_sizes_are_few_and_little_above(positions: int) -> None:
    assert positions <= rounded(positions) <= max(positions * (1 + 1 / STEPS), STEPS)
    assert len({rounded(each) for each in range(1025, 2049)}) == STEPS


def test_few_sizes_of_sequences_and_of_the_longest() -> None:
    found = set()
    for sequences, longest in ((1, 64), (64, 65), (65, 3), (256, 256), (300, 1025)):
        x_FM, layout = given_to([longest] + [1] * (sequences - 1))
        found.add(Sizes.of(len(x_FM), layout)[1:])
    assert found == {(64, 64), (64, 128), (128, 64), (256, 256), (512, 2048)}


@pytest.mark.parametrize("lengths", [[5], [3, 1, 30, 7], [1] * 70, [65, 2]])
def test_what_is_filled_up_changes_nothing(lengths: list[int]) -> None:
    stack = made()
    x_FM, layout = given_to(lengths)
    sizes = Sizes.of(len(x_FM), layout)
    assert sizes.positions >= len(x_FM)
    assert sizes.sequences >= max(len(lengths), LEAST)
    filled = Filled(stack, sizes.longest)(*sizes.filled(x_FM, layout))
    assert len(filled) == sizes.positions
    weight_FM = torch.linspace(-1, 1, x_FM.numel(), device=DEVICE).view_as(x_FM)
    found = filled[: len(x_FM)]
    gradients = torch.autograd.grad((found * weight_FM).sum(), [x_FM, *stack.parameters()])
    for one, other in zip([found, *gradients], learned(stack, stack, x_FM, layout), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(DEVICE != "cpu", reason="a kernel on a GPU does not look at lengths")
def test_a_longest_that_is_too_short_is_seen() -> None:
    stack = made()
    x_FM, layout = given_to([40, 70])
    sizes = Sizes.of(len(x_FM), layout)
    with pytest.raises(ValueError, match="longest"):
        Filled(stack, 64)(*sizes.filled(x_FM, layout))


def test_with_dropout_a_stack_is_called_as_it_is() -> None:
    stack = made(SHAPE.model_copy(update={"dropout": 0.5}))
    x_FM, layout = given_to([5, 9])
    layout = replace(layout, dropout_key_F=torch.arange(14, device=DEVICE))
    called = Graphed(stack)
    assert torch.equal(called(x_FM, layout, 7)[0], stack(x_FM, layout, 7)[0])
    assert not torch.equal(called(x_FM, layout, 7)[0], stack(x_FM, layout, 8)[0])
    assert not called._made


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU: CUDA graphs")
def test_graphs_say_and_learn_what_the_stack_does() -> None:
    stack = made()
    called = Graphed(stack)
    for seed, lengths in enumerate([[5, 9], [6, 8], [7, 7], [100, 3], [90, 4], [14], [80, 9]]):
        x_FM, layout = given_to(lengths, seed)
        found = learned(called, stack, x_FM, layout)
        right = learned(stack, stack, x_FM, layout)
        for one, other in zip(found, right, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert sum(graph is not None for graph in called._made.values()) == 2
