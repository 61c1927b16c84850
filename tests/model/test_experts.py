"""Experts against a loop over tokens; the balance loss against its formula."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from model.experts import Experts, balance_loss


def made(seed: int, width: int, hidden: int, experts: int, active: int) -> Experts:
    """Experts in float64 with all weights drawn, biases and norm too."""
    torch.manual_seed(seed)
    found = Experts(width, hidden, experts, active).double()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.normal_()
    return found


def one_by_one(of: Experts, x_TM: Tensor, chosen: Callable[[Tensor], list[int]]) -> Tensor:
    """What the experts say, a token at a time."""
    out = []
    for x_M in of.norm(x_TM):
        gate_X = torch.softmax(x_M.float() @ of.gate_MX.float(), 0)
        answer = torch.zeros_like(x_M)
        for expert in chosen(gate_X):
            hidden = x_M @ of.up_XMF[expert] + of.up_bias_XF[expert]
            said = hidden * hidden.sigmoid() @ of.down_XFM[expert] + of.down_bias_XM[expert]
            answer = answer + gate_X[expert].double() * said
        out.append(answer)
    return torch.stack(out) if out else x_TM


def best(active: int) -> Callable[[Tensor], list[int]]:
    return lambda gate_X: sorted(range(len(gate_X)), key=lambda x: -gate_X[x].item())[:active]


@given(
    seed=st.integers(0, 1_000),
    tokens=st.sampled_from([0, 1, 7, 40]),
    width=st.sampled_from([1, 3, 8]),
    experts=st.integers(1, 5),
    data=st.data(),
)
def test_experts_are_the_loop_with_its_gradients(
    seed: int, tokens: int, width: int, experts: int, data: st.DataObject
) -> None:
    active = data.draw(st.integers(1, experts))
    of = made(seed, width, 5, experts, active)
    x_TM = torch.randn(tokens, width, dtype=torch.float64, requires_grad=True)
    wanted = [x_TM, *of.parameters()]
    y_TM, _ = of(x_TM)
    expected = one_by_one(of, x_TM, best(active))
    torch.testing.assert_close(y_TM, expected, rtol=1e-9, atol=1e-9)
    if tokens:
        weight_TM = torch.randn_like(y_TM)
        found = torch.autograd.grad((y_TM * weight_TM).sum(), wanted)
        right = torch.autograd.grad((expected * weight_TM).sum(), wanted, allow_unused=True)
        for ours, theirs in zip(found, right, strict=True):
            # An expert that no token chose has no gradient in the loop, and zeros here.
            expected = torch.zeros_like(ours) if theirs is None else theirs
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_the_check_sees_one_expert_too_few_and_the_wrong_ones() -> None:
    of = made(1, 8, 5, 4, 2)
    x_TM = torch.randn(20, 8, dtype=torch.float64)
    y_TM, _ = of(x_TM)
    for wrong in (best(1), best(3), lambda gate_X: best(4)(gate_X)[2:]):
        assert (y_TM - one_by_one(of, x_TM, wrong)).norm() > 0.05 * y_TM.norm()


@pytest.mark.parametrize("active", [1, 2, 4])
def test_the_balance_loss_is_one_where_all_are_used_alike(active: int) -> None:
    """Each expert is chosen equally often, with equal probabilities."""
    gate_TX = torch.full((4, 4), 0.25)
    expert_TK = torch.stack([torch.arange(4).roll(by) for by in range(active)], dim=1)
    assert balance_loss(gate_TX, expert_TK).item() == pytest.approx(1.0)


def test_the_balance_loss_is_the_number_of_experts_where_one_has_all() -> None:
    gate_TX = torch.tensor([[1.0, 0.0, 0.0]] * 5)
    assert balance_loss(gate_TX, torch.zeros(5, 1, dtype=torch.int64)).item() == pytest.approx(3.0)


def test_the_balance_loss_of_no_tokens_is_zero() -> None:
    empty = torch.zeros(0, 2, dtype=torch.int64)
    assert balance_loss(torch.zeros(0, 3), empty).item() == 0.0


def test_the_balance_loss_is_its_formula() -> None:
    gate_TX = torch.rand(9, 4, dtype=torch.float64).softmax(1)
    expert_TK = gate_TX.topk(2, dim=1).indices
    expected = 0.0
    for expert in range(4):
        share = (expert_TK == expert).sum().item() / 18
        expected += 4 * share * gate_TX[:, expert].mean().item()
    assert balance_loss(gate_TX, expert_TK).item() == pytest.approx(expected)


def test_parts_of_processes_add_up_to_the_balance_loss_of_all() -> None:
    """Also in their gradients, and where a process has no tokens."""
    of = made(2, 6, 5, 4, 2)
    x_TM = torch.randn(11, 6, dtype=torch.float64)
    whole = of(x_TM)[1]
    shares = [x_TM[:3], x_TM[:0], x_TM[3:]]
    chosen_X = torch.stack([_chosen(of, part) for part in shares]).sum(0)
    added = torch.stack([of(part, summed=lambda _: chosen_X)[1] for part in shares]).sum()
    assert added.item() == pytest.approx(whole.item(), rel=1e-6)
    ours, theirs = (torch.autograd.grad(loss, of.gate_MX)[0] for loss in (added, whole))
    torch.testing.assert_close(ours, theirs)
    alone = of(x_TM[:3])[1] + of(x_TM[3:])[1]
    assert alone.item() != pytest.approx(whole.item(), rel=1e-3)


def _chosen(of: Experts, x_TM: Tensor) -> Tensor:
    """How often each expert is chosen, as forward tells it to the sum over processes."""
    told: list[Tensor] = []

    def summed(chosen_X: Tensor) -> Tensor:
        told.append(chosen_X)
        return chosen_X

    of(x_TM, summed=summed)
    return told[0]


def test_the_balance_loss_moves_the_gate_towards_balance() -> None:
    torch.manual_seed(3)
    of = Experts(6, 5, 4, 1)
    x_TM = torch.randn(200, 6) + torch.tensor([3.0, 0, 0, 0, 0, 0])
    with torch.no_grad():
        of.gate_MX[0, 0] = 5.0
    optimizer = torch.optim.Adam([of.gate_MX], lr=0.05)
    begun = of(x_TM)[1].item()
    for _ in range(100):
        optimizer.zero_grad()
        of(x_TM)[1].backward()
        optimizer.step()
    assert begun > 2.0
    assert of(x_TM)[1].item() < 1.2


@pytest.mark.parametrize("active", [0, 4])
def test_more_active_than_there_are_is_refused(active: int) -> None:
    with pytest.raises(ValueError, match="must be 1 to 3"):
        Experts(4, 8, 3, active)
