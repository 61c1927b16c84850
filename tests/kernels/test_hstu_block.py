"""The HSTU block: as exact as plain PyTorch, keeps at most 14 d, broken variants seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm, softmax

from benchmarks.activation_memory import kept_bytes
from kernels.hstu_block import BlockWeights, RelativeBias, hstu_block
from tests.kernels.gradients import as_type, randoms, results
from tests.kernels.precision import relative_error, too_far

POSITIONS, BUCKETS = 9, 50
FIELDS = BlockWeights._fields


@dataclass(frozen=True)
class Case:
    """A block's tensors by name, with `dy`, and its other arguments."""

    tensors: dict[str, Tensor]
    whole: dict[str, Tensor]
    options: dict[str, Any]

    def to(self, to: torch.dtype | torch.device) -> "Case":
        """With floats of another type, or with all on another device."""
        whole = as_type(self.whole, to) if isinstance(to, torch.device) else self.whole
        return replace(self, tensors=as_type(self.tensors, to), whole=whole)


def case(
    lengths: Sequence[int],
    *,
    targets: Sequence[int] | None = None,
    heads: int = 2,
    widths: tuple[int, int, int] = (10, 5, 7),
    biased: bool = True,
    **options: Any,
) -> Case:
    """Random weights and rows; `widths` are of the model, of a query head and of a value head."""
    tokens, (width, query, value) = sum(lengths), widths
    gated, out = heads * value, 2 * heads * (query + value)
    right = [(width,), (width,), (width, out), (out,), (gated,), (gated,), (gated, width), (width,)]
    shapes: dict[str, tuple[int, ...]] = {"x_TM": (tokens, width), "dy": (tokens, width)}
    shapes |= dict(zip(FIELDS, right, strict=True))
    if biased:
        shapes |= {"position_HP": (heads, POSITIONS), "time_HC": (heads, BUCKETS)}
    chance = torch.Generator().manual_seed(tokens)
    whole = {
        "offsets_B1": torch.tensor([0, *lengths]).cumsum(0),
        "times_T": torch.randint(10**9, (tokens,), generator=chance).sort().values,
    }
    if targets is not None:
        whole["targets_B"] = torch.tensor(targets)
    sizes = {"heads": heads, "query_width": query, "value_width": value}
    usual = {"longest": max(lengths, default=0), "divisor": 20.0, "eps": 1e-5}
    return Case(_scaled(randoms(shapes)), whole, {**sizes, **usual, **options})


def _scaled(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices that keep the size of what they are applied to."""
    return {
        name: x * len(x) ** -0.5 if name.endswith(("MF", "GM")) else x
        for name, x in tensors.items()
    }


def block(each: Case, **changes: Any) -> Callable[..., Tensor]:
    """The block as a function of a case's tensors but `dy`."""
    options = {**each.options, **changes}

    def of(x_TM: Tensor, **weights: Tensor) -> Tensor:
        times_T = each.whole["times_T"]
        tables = [weights[name] for name in ("position_HP", "time_HC") if name in weights]
        return hstu_block(
            x_TM,
            BlockWeights(*(weights[name] for name in FIELDS)),
            each.whole["offsets_B1"],
            bias=RelativeBias(tables[0], tables[1], times_T, times_T - 500) if tables else None,
            targets_B=each.whole.get("targets_B"),
            **options,
        )

    return of


def found(each: Case, **changes: Any) -> dict[str, Tensor]:
    """The block's values and gradients, with some options changed."""
    inputs = {name: x for name, x in each.tensors.items() if name != "dy"}
    return results(block(each, **changes), inputs, each.tensors["dy"])


def three_ways(each: Case, **changes: Any) -> tuple[dict[str, Tensor], ...]:
    """By Triton, maybe broken by other options; by PyTorch at this precision; and exactly."""
    exact = found(each.to(torch.float64), implementation="reference")
    plain = found(each, implementation="reference")
    return found(each, implementation="triton", **changes), plain, exact


CASES = {
    "lengths": case([3, 0, 17, 1]),
    "one token": case([1]),
    "no token": case([0, 0]),
    "no bias": case([7, 5], biased=False),
    "targets": case([9, 4, 6, 3], targets=[0, 1, 4, 3]),
    "a window": case([20, 1, 7], window=5),
    "dropout": case([9, 4], dropout=0.25, seed=3),
    "divided by length": case([9, 4], divisor=None),
    "odd widths": case([6, 2], heads=3, widths=(33, 25, 50)),
}


@pytest.mark.parametrize("name", CASES)
def test_float32_is_as_exact_as_plain_pytorch(name: str, device: torch.device) -> None:
    assert not too_far(*three_ways(CASES[name].to(device)))


@pytest.mark.parametrize("name", ["lengths", "targets", "dropout", "odd widths"])
def test_bfloat16_is_as_exact_as_plain_pytorch(name: str, device: torch.device) -> None:
    assert not too_far(*three_ways(CASES[name].to(torch.bfloat16).to(device)))


def test_weights_of_float32_beside_rows_of_bfloat16(device: torch.device) -> None:
    each = CASES["targets"].to(device)
    rows = as_type({name: each.tensors[name] for name in ("x_TM", "dy")}, torch.bfloat16)
    mixed = replace(each, tensors={**each.tensors, **rows})
    triton, plain, exact = three_ways(mixed)
    assert not too_far(triton, plain, exact)
    assert triton["y"].dtype == triton["x_TM"].dtype == torch.bfloat16
    assert {triton[name].dtype for name in (*FIELDS, "time_HC")} == {torch.float32}


def by_loops(each: Case, *, pointwise: bool = True) -> Tensor:
    """The block without bias, token by token and head by head."""
    x_TM, w = each.tensors["x_TM"], each.tensors
    heads, d, v = (each.options[name] for name in ("heads", "query_width", "value_width"))
    eps, ends = each.options["eps"], each.whole["offsets_B1"].tolist()
    norm_TM = layer_norm(x_TM, x_TM.shape[1:], w["norm_weight_M"], w["norm_bias_M"], eps)
    before_TF = norm_TM @ w["uvqk_weight_MF"] + w["uvqk_bias_F"]
    uvqk_TF = before_TF * before_TF.sigmoid()
    q_at, k_at = 2 * heads * v, 2 * heads * v + heads * d
    y_TM = x_TM.clone()
    for start, end in pairwise(ends):
        for i in range(start, end):
            sums = []
            for h in range(heads):
                q = uvqk_TF[i, q_at + h * d : q_at + h * d + d]
                scores = uvqk_TF[start : i + 1, k_at + h * d : k_at + h * d + d] @ q / d**0.5
                weights = scores * scores.sigmoid() if pointwise else softmax(scores, 0)
                sums.append(weights @ uvqk_TF[start : i + 1, (heads + h) * v : (heads + h) * v + v])
            attended_G = torch.cat(sums)
            centred_G = attended_G - attended_G.mean()
            unit_G = centred_G / (centred_G.square().mean() + eps).sqrt()
            gated_G = unit_G * w["gate_norm_weight_G"] + w["gate_norm_bias_G"]
            gated_G = gated_G * uvqk_TF[i, : heads * v]
            y_TM[i] += gated_G @ w["output_weight_GM"] + w["output_bias_M"]
    return y_TM


@pytest.mark.parametrize("pointwise", [True, False])
def test_the_reference_is_what_loops_give(pointwise: bool) -> None:
    each = case([4, 0, 6], biased=False).to(torch.float64)
    torch.testing.assert_close(
        found(each, pointwise=pointwise)["y"], by_loops(each, pointwise=pointwise)
    )


def test_the_divisor_cancels(device: torch.device) -> None:
    """Where eps counts: with values as small as its square root."""
    each = CASES["targets"].to(torch.float64).to(device)
    each.tensors["uvqk_weight_MF"].mul_(0.02)
    each.tensors["uvqk_bias_F"].mul_(0.02)
    whole = found(each, divisor=None)
    for divisor in (1.0, 50.0, 8192.0):
        assert relative_error(found(each, divisor=divisor)["y"], whole["y"]) < 1e-12
    assert relative_error(found(each, eps=1.1e-5)["y"], whole["y"]) > 1e-5
    single = each.to(torch.float32)
    triton, plain = found(single, divisor=8192.0, implementation="triton"), found(single)
    assert not too_far(triton, plain, whole)


@pytest.mark.parametrize("implementation", ["triton", "reference"])
def test_a_sequence_is_the_same_in_other_company(implementation: str, device: torch.device) -> None:
    together = case([5, 8]).to(device)
    keys_T = torch.arange(13, device=device) * 7
    options = {"dropout": 0.3, "seed": 5, "implementation": implementation}
    y_TM = found(together, dropout_keys_T=keys_T, **options)["y"]
    ends = torch.tensor([0, 8], device=device)
    whole = {"offsets_B1": ends, "times_T": together.whole["times_T"][5:]}
    rows = {name: together.tensors[name][5:] for name in ("x_TM", "dy")}
    alone = replace(together, tensors={**together.tensors, **rows}, whole=whole)
    assert relative_error(found(alone, dropout_keys_T=keys_T[5:], **options)["y"], y_TM[5:]) < 1e-6
    assert relative_error(found(alone, **options)["y"], y_TM[5:]) > 1e-2


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_it_keeps_less_than_14_d_a_token(dropout: float, device: torch.device) -> None:
    """d = M = H · D = H · V; bytes, in bfloat16. The times, 16 bytes, are shared by all layers."""
    d, tokens = 32, 24
    each = case([tokens], widths=(d, d // 2, d // 2), dropout=dropout)
    each = each.to(torch.bfloat16).to(device)
    leaves = {name: x.requires_grad_() for name, x in each.tensors.items() if name != "dy"}
    shared = [*each.whole.values(), *(x for name, x in leaves.items() if name != "x_TM")]
    uncounted = {x.untyped_storage().data_ptr() for x in shared}

    def kept(implementation: str) -> int:
        return kept_bytes(lambda: block(each, implementation=implementation)(**leaves), uncounted)

    assert kept("triton") == tokens * (12 * d + 8) <= tokens * 14 * d
    assert kept("reference") > tokens * 26 * d


BROKEN: dict[str, dict[str, Any]] = {
    "another eps": {"eps": 1e-3},
    "another draw": {"seed": 4},
    "no dropout": {"dropout": 0.0},
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_check_fails_broken_options(name: str, device: torch.device) -> None:
    each = CASES["dropout"].to(device)
    assert "y" in too_far(*three_ways(each, **BROKEN[name]))


def turned(name: str) -> Callable[[Case], Case]:
    return lambda each: replace(
        each, tensors={**each.tensors, name: each.tensors[name].roll(1, -1)}
    )


def without(name: str) -> Callable[[Case], Case]:
    return lambda each: replace(each, tensors={**each.tensors, name: 0 * each.tensors[name]})


def one_target_more(each: Case) -> Case:
    targets_B = each.whole["targets_B"] + 1
    return replace(each, whole={**each.whole, "targets_B": targets_B})


def other_order(each: Case) -> Case:
    """U after V, where the columns have V after U."""
    order = [*range(14, 28), *range(14), *range(28, 48)]
    weight_MF, bias_F = (each.tensors[name] for name in ("uvqk_weight_MF", "uvqk_bias_F"))
    parts = {"uvqk_weight_MF": weight_MF[:, order], "uvqk_bias_F": bias_F[order]}
    return replace(each, tensors={**each.tensors, **parts})


WRONG: dict[str, Callable[[Case], Case]] = {
    "no residual and input": without("x_TM"),
    "another order": other_order,
    "one target more": one_target_more,
    "next position": turned("position_HP"),
    "next bucket": turned("time_HC"),
    **{f"without {name}": without(name) for name in FIELDS},
}


@pytest.mark.parametrize("name", WRONG)
def test_the_check_fails_what_is_broken(name: str) -> None:
    each = CASES["targets"]
    exact, plain = found(each.to(torch.float64)), found(each)
    assert "y" in too_far(found(WRONG[name](each)), plain, exact)


def test_what_does_not_go_together_is_refused() -> None:
    each = CASES["lengths"]
    with pytest.raises(ValueError, match=r"uvqk_weight_MF is \(10, 48\), not \(10, 72\)"):
        found(each, heads=3)
    with pytest.raises(ValueError, match="softmax has no Triton"):
        found(each, pointwise=False, implementation="triton")
    with pytest.raises(ValueError, match=r"dropout is -0\.1"):
        found(each, dropout=-0.1)
    with pytest.raises(ValueError, match="longest is 16"):
        found(each, longest=16)
