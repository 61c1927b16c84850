"""Jagged batches for HSTU attention, and what attention makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kernels.hstu_attention import (
    RelativeBias,
    attention_backward,
    attention_forward,
    hstu_attention,
)


@dataclass(frozen=True)
class Case:
    """Arguments of attention, and the gradient of its output."""

    q_THD: Tensor
    k_THD: Tensor
    v_THV: Tensor
    dout_THV: Tensor
    offsets_B1: Tensor
    bias: RelativeBias | None
    targets_B: Tensor | None
    alpha: float = 0.6
    divisor: float | None = None
    window: int | None = None
    prefix: int = 0

    @property
    def longest(self) -> int:
        """The length of the longest sequence."""
        return int(self.offsets_B1.diff().max()) if len(self.offsets_B1) > 1 else 0

    def to(self, to: torch.dtype | torch.device) -> "Case":
        """In another type, or on another device, where ids and times go along."""
        moved: dict[str, Any] = {}
        for name, x in vars(self).items():
            if isinstance(x, Tensor):
                moved[name] = _moved(x, to)
            elif isinstance(x, RelativeBias):
                moved[name] = RelativeBias(*(_moved(field, to) for field in vars(x).values()))
        return replace(self, **moved)


def _moved(x: Tensor, to: torch.dtype | torch.device) -> Tensor:
    return x.to(to) if isinstance(to, torch.device) or x.is_floating_point() else x


def case(
    lengths: Sequence[int],
    *,
    heads: int = 1,
    widths: tuple[int, int] = (5, 7),
    positions: int = 20,
    buckets: int = 64,
    times: str = "ascending",
    targets: Sequence[int] | None = None,
    biased: bool = True,
    divisor: float | None = None,
    window: int | None = None,
    prefix: int = 0,
    seed: int = 0,
) -> Case:
    """Random rows for sequences of these lengths; `times` are ascending, equal or anyhow."""
    chance = torch.Generator().manual_seed(seed)
    tokens = sum(lengths)
    q_width, v_width = widths

    def floats(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=chance)

    span = 10**11 if times == "anyhow" else 10**5
    query_time_T = torch.randint(span, (tokens,), generator=chance)
    query_time_T = query_time_T.sort().values if times == "ascending" else query_time_T
    key_time_T = query_time_T - torch.randint(0, 1000, (tokens,), generator=chance)
    if times == "equal":
        query_time_T = key_time_T = torch.full((tokens,), 1_700_000_000_000)
    tables = floats(heads, positions), floats(heads, buckets)
    return Case(
        q_THD=floats(tokens, heads, q_width),
        k_THD=floats(tokens, heads, q_width),
        v_THV=floats(tokens, heads, v_width),
        dout_THV=floats(tokens, heads, v_width),
        offsets_B1=torch.tensor([0, *lengths]).cumsum(0),
        bias=RelativeBias(*tables, query_time_T, key_time_T) if biased else None,
        targets_B=None if targets is None else torch.tensor(targets),
        divisor=divisor,
        window=window,
        prefix=prefix,
    )


def results(each: Case, implementation: str | None = None) -> dict[str, Tensor]:
    """The output, and the gradients of all that has one, without autograd."""
    inputs, options = (each.q_THD, each.k_THD, each.v_THV, each.offsets_B1), _options(each)
    gradients = attention_backward(each.dout_THV, *inputs, **options, implementation=implementation)
    out_THV = attention_forward(*inputs, **options, implementation=implementation)
    named = {"out_THV": out_THV, **gradients._asdict()}
    return {name: x for name, x in named.items() if x is not None}


def by_autograd(each: Case, implementation: str | None) -> dict[str, Tensor]:
    """The same through autograd."""
    q, k, v, position, time = leaves = [x.detach().requires_grad_() for x in _learned(each)]
    assert each.bias is not None
    options = {**_options(each), "bias": replace(each.bias, position_HP=position, time_HC=time)}
    out_THV = hstu_attention(q, k, v, each.offsets_B1, **options, implementation=implementation)
    gradients = torch.autograd.grad(out_THV, leaves, each.dout_THV)
    names = ("dq_THD", "dk_THD", "dv_THV", "dposition_HP", "dtime_HC")
    return {"out_THV": out_THV.detach(), **dict(zip(names, gradients, strict=True))}


def _learned(each: Case) -> tuple[Tensor, ...]:
    assert each.bias is not None
    return each.q_THD, each.k_THD, each.v_THV, each.bias.position_HP, each.bias.time_HC


def _options(each: Case) -> dict[str, Any]:
    names = ("longest", "bias", "targets_B", "window", "prefix", "alpha", "divisor")
    return {name: getattr(each, name) for name in names}
