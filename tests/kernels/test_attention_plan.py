"""What calls of attention share of a batch: all comes out the same, and no other batch has it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.attention_mask import Mask
from kernels.attention_plan import AttentionPlan
from kernels.hstu_attention import attention_backward, attention_forward
from tests.kernels.attention_cases import Case, case

N = 64 if torch.cuda.is_available() else 16
TABLES = ("position_HP", "time_HC")
EACH = case([N + 3, 5], targets=[3, 0], window=N + 2)


def plan_of(each: Case) -> AttentionPlan:
    mask = Mask(each.targets_B, each.window, each.prefix)
    return AttentionPlan.of(each.offsets_B1, each.longest, mask, each.bias)


def everything(each: Case, plan: AttentionPlan | None) -> list[Tensor]:
    """The output and all gradients."""
    names = ("longest", "bias", "targets_B", "window", "prefix", "alpha", "divisor")
    options: dict[str, Any] = {name: getattr(each, name) for name in names}
    options |= {"plan": plan, "implementation": "triton"}
    inputs = (each.q_THD, each.k_THD, each.v_THV, each.offsets_B1)
    gradients = attention_backward(each.dout_THV, *inputs, **options)
    return [attention_forward(*inputs, **options), *(x for x in gradients if x is not None)]


def test_blocks_with_tables_of_other_sizes_share_a_plan(device: torch.device) -> None:
    each = EACH.to(device)
    assert each.bias is not None
    few = replace(each.bias, **{name: getattr(each.bias, name)[:, :3] for name in TABLES})
    one, two, three = each, replace(each, bias=few), replace(each, bias=None)
    plan = plan_of(each)
    for layer in (one, two, three):
        found, alone = everything(layer, plan), everything(layer, None)
        assert all(torch.equal(x, y) for x, y in zip(found, alone, strict=True))


def test_a_plan_is_made_once(device: torch.device) -> None:
    each = EACH.to(device)
    plan = plan_of(each)
    everything(each, plan)
    made = dict(plan._made)
    everything(each, plan)
    # Times; tiles of queries, of keys, and of queries with those in the band. Of these last the
    # interpreter's are larger than the forward's, so that those without the band are another list.
    assert len(made) == (4 if torch.cuda.is_available() else 5)
    assert all(plan._made[key] is x for key, x in made.items())


ALIKE: dict[str, Any] = {
    "offsets": {"offsets_B1": EACH.offsets_B1.clone()},
    "targets": {"targets_B": torch.tensor([3, 0])},
    "no targets": {"targets_B": None},
    "window": {"window": N + 1},
    "prefix": {"prefix": 1},
}


@pytest.mark.parametrize("name", ALIKE)
def test_another_batch_is_refused(name: str) -> None:
    other = replace(EACH, **ALIKE[name])
    with pytest.raises(ValueError, match="the plan was made for other"):
        everything(other, plan_of(EACH))


def test_other_times_are_refused() -> None:
    assert EACH.bias is not None
    bias = replace(EACH.bias, key_time_T=EACH.bias.key_time_T.clone())
    with pytest.raises(ValueError, match="the plan was made for other key times"):
        everything(replace(EACH, bias=bias), plan_of(EACH))
