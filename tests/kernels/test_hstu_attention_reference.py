from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.attention_mask import Mask
from kernels.hstu_attention import RelativeBias, attention_backward, hstu_attention
from kernels.hstu_attention_reference import reference_attention
from tests.kernels import attention_oracle as oracle
from tests.kernels.attention_cases import Case, by_autograd, case, results


def reference(each: Case, *, pointwise: bool = True) -> torch.Tensor:
    return reference_attention(
        *(each.q_THD, each.k_THD, each.v_THV, each.offsets_B1),
        bias=each.bias,
        mask=Mask(each.targets_B, each.window, each.prefix),
        alpha=each.alpha,
        divisor=each.divisor,
        pointwise=pointwise,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    lengths = draw(st.lists(st.integers(0, 7), max_size=4))
    targets = [draw(st.integers(0, length)) for length in lengths]
    return case(
        lengths,
        heads=draw(st.integers(1, 2)),
        widths=(draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        positions=draw(st.integers(1, 8)),
        buckets=draw(st.sampled_from([1, 20, 80])),
        times=draw(st.sampled_from(["ascending", "equal", "anyhow"])),
        targets=draw(st.sampled_from([None, targets])),
        biased=draw(st.booleans()),
        divisor=draw(st.sampled_from([None, 3.0])),
        window=draw(st.none() | st.integers(1, 8)),
        prefix=draw(st.integers(0, 8)),
    ).to(torch.float64)


@settings(max_examples=60)
@given(cases(), st.booleans())
def test_reference_gives_what_plain_loops_give(each: Case, pointwise: bool) -> None:
    found = reference(each, pointwise=pointwise)
    torch.testing.assert_close(found, oracle.attention(each, softmax=not pointwise))


def test_gradients_are_those_of_differences() -> None:
    each = case([4, 0, 3, 1], targets=[0, 0, 2, 1], positions=3, widths=(2, 3)).to(torch.float64)
    assert each.bias is not None
    times = (each.bias.query_time_T, each.bias.key_time_T)
    leaves = (each.q_THD, each.k_THD, each.v_THV, each.bias.position_HP, each.bias.time_HC)

    def attend(*inputs: torch.Tensor) -> torch.Tensor:
        q, k, v, position, time = inputs
        bias = RelativeBias(position, time, *times)
        return reference(replace(each, q_THD=q, k_THD=k, v_THV=v, bias=bias))

    assert torch.autograd.gradcheck(attend, [leaf.requires_grad_() for leaf in leaves])


def test_default_on_a_cpu_is_the_reference_with_autograd_and_without() -> None:
    each = case([4, 3], targets=[0, 2]).to(torch.float64)
    found = results(each)
    assert not any(result.requires_grad for result in found.values())
    expected = by_autograd(each, None)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_without_a_bias_there_are_no_gradients_of_it() -> None:
    each = case([4], biased=False)
    gradients = attention_backward(
        *(each.dout_THV, each.q_THD, each.k_THD, each.v_THV, each.offsets_B1), longest=4
    )
    assert gradients.dposition_HP is None
    assert gradients.dtime_HC is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k_THD": torch.zeros(5, 2, 4)}, r"k: .*5, 2, 4.*, but q: .*5, 2, 5"),
        ({"v_THV": torch.zeros(4, 2, 7)}, r"v's tokens and heads: .*4, 2.*, but q's: \(5, 2\)"),
        ({"v_THV": torch.zeros(5, 2, 7).double()}, r"types: .*float64.*, but q's"),
        ({"offsets_B1": torch.tensor([0, 3, 5]).int()}, "offsets' type: torch.int32, but"),
        ({"offsets_B1": torch.tensor([0, 3, 6])}, "offsets do not ascend from 0 to 5 tokens"),
        ({"offsets_B1": torch.tensor([-1, 3, 5])}, "offsets do not ascend from 0 to 5 tokens"),
        ({"offsets_B1": torch.tensor([0, 3, 2])}, "offsets do not ascend from 0 to 5 tokens"),
        ({"targets_B": torch.tensor([1])}, r"targets: .*1.*, but one a sequence: \(2,\)"),
        ({"window": 0}, "window is 0, not at least 1"),
        ({"prefix": -1}, "prefix is -1, not at least 0"),
        ({"longest": 2}, "longest is 2, but a sequence has 3 tokens"),
        ({"implementation": "cuda"}, "implementation is 'cuda', not"),
    ],
)
def test_what_does_not_go_together_is_refused(change: dict[str, Any], message: str) -> None:
    arguments = {name: x for name, x in vars(case([3, 2], heads=2)).items() if name != "dout_THV"}
    with pytest.raises(ValueError, match=message):
        hstu_attention(**{**arguments, "longest": 3, **change})


@pytest.mark.parametrize("field", ["position_HP", "query_time_T", "key_time_T"])
def test_a_bias_of_another_shape_or_type_is_refused(field: str) -> None:
    each = case([3, 2], heads=2)
    assert each.bias is not None
    wrong = replace(each.bias, **{field: getattr(each.bias, field)[:1].float()})
    with pytest.raises(ValueError, match=r"the bias's heads|times"):
        results(replace(each, bias=wrong))
