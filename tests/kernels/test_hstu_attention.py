"""The Triton kernels against float64, as exact as plain PyTorch, in lengths around their tiles."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.hstu_attention import hstu_attention
from tests.kernels import attention_oracle as oracle
from tests.kernels.attention_cases import Case, by_autograd, case, results
from tests.kernels.precision import relative_error, too_far

N = 64 if torch.cuda.is_available() else 16  # a tile's side, or two in float32

CASES = {
    "lengths": case([0, 1, N - 1, N, N + 1, 0, 2 * N + 3], heads=2),
    "one token": case([1]),
    "no sequence": case([]),
    "sequences without tokens": case([0, 0]),
    "no bias": case([N + 5, 3], biased=False),
    "a given divisor": case([N + 5, 3], divisor=50.0),
    "widths of tiles": case([N + 2], widths=(32, 16)),
    "widths between": case([N + 2], widths=(25, 50), heads=3),
    "width one": case([N + 2], widths=(1, 1)),
    "equal times": case([2 * N - 1], times="equal"),
    "times going back": case([N + 3], times="anyhow"),
    "one position and bucket": case([2 * N], positions=1, buckets=1),
    "as many positions as tokens": case([N + 3], positions=N + 3),
    "more positions than tokens": case([N + 3], positions=5 * N),
    "few buckets": case([N + 3], buckets=37, heads=2),
    "one target": case([N + 1, N, 3, 1], targets=[1, 1, 1, 1]),
    "targets in several tiles": case([3 * N + 5], targets=[2 * N]),
    "targets from a tile's edge": case([2 * N + 5], targets=[N + 5]),
    "targets or none": case([N + 4, 5, N + 9], targets=[0, 5, N + 9], heads=2),
    "more targets than tokens": case([3], targets=[3 * N]),
    "more rows than the band": case([6 * N + 5, N], heads=2, positions=N // 2),
    "few buckets far away": case([7 * N], positions=3, buckets=20, times="ascending"),
    "times beyond the last bucket": case([7 * N], positions=3, buckets=30),
    "times going back far away": case([7 * N + 1], positions=3, times="anyhow", buckets=90),
    "more targets than the band": case([10 * N], positions=3, targets=[7 * N]),
    "a window": case([3 * N + 5, 3, N], window=N // 2 + 1, heads=2),
    "a window of one": case([N + 5], window=1),
    "a window of tiles": case([4 * N], window=2 * N, positions=3),
    "a window beyond the band": case([12 * N], window=11 * N, positions=3, times="anyhow"),
    "a window and targets": case([3 * N + 5, 9], targets=[N, 9], window=N),
    "a window without a bias": case([3 * N + 5], window=N + 3, biased=False),
    "a prefix": case([2 * N + 5, N, 3], prefix=N // 2 + 1, heads=2),
    "a prefix of tiles": case([4 * N + 5], prefix=3 * N, times="anyhow"),
    "a prefix and targets": case([2 * N, 5, N], targets=[N, 3, 0], prefix=N // 2),
    "a prefix without a bias": case([2 * N + 5], prefix=N + 1, biased=False),
    "a window and a prefix": case([5 * N + 3, 7], window=N + 1, prefix=N + 3),
    "a window, a prefix, targets": case([5 * N, 4], targets=[N + 3, 2], window=N, prefix=5),
    "more sequences than shares": case([1] * 18, heads=1, times="equal"),
}


@pytest.mark.parametrize("name", CASES)
def test_float32_is_as_exact_as_plain_pytorch(name: str, device: torch.device) -> None:
    each = CASES[name].to(device)
    exact = results(each.to(torch.float64))
    assert not too_far(results(each, "triton"), results(each, "reference"), exact)


BFLOAT16 = ["lengths", "widths between", "targets in several tiles", "more rows than the band"]
BFLOAT16 += ["a window, a prefix, targets", "a window beyond the band", "a prefix of tiles"]
BFLOAT16 += ["few buckets far away", "times going back far away", "more targets than the band"]
BFLOAT16 += ["times beyond the last bucket", "no bias", "times going back"]


@pytest.mark.parametrize("name", BFLOAT16)
def test_bfloat16_is_as_exact_as_plain_pytorch(name: str, device: torch.device) -> None:
    each = CASES[name].to(device).to(torch.bfloat16)
    exact = results(each.to(torch.float64))
    found = results(each, "triton")
    assert not too_far(found, results(each, "reference"), exact)
    assert {result.dtype for result in found.values()} == {torch.bfloat16}


def test_tables_of_float32_beside_rows_of_bfloat16(device: torch.device) -> None:
    tables = CASES["few buckets"].to(device)
    each = replace(tables.to(torch.bfloat16), bias=tables.bias)
    found, exact = results(each, "triton"), results(each.to(torch.float64))
    assert found["dtime_HC"].dtype == torch.float32
    assert not too_far(found, results(each, "reference"), exact)


def test_autograd_gives_the_same(device: torch.device) -> None:
    each = CASES["one target"].to(device)
    found, expected = by_autograd(each, "triton"), results(each, "triton")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_rows_may_be_parts_of_one_tensor_and_gradients_of_a_sum(device: torch.device) -> None:
    each = CASES["few buckets"].to(device)
    parts_THX = torch.cat([each.v_THV, each.q_THD, each.k_THD], 2)
    v, q, k = parts_THX.tensor_split([7, 12], 2)
    parted = replace(each, q_THD=q, k_THD=k, v_THV=v, dout_THV=torch.ones(1, device=device))
    parted = replace(parted, dout_THV=parted.dout_THV.expand(v.shape))
    dense = replace(each, dout_THV=parted.dout_THV.contiguous())
    found, expected = results(parted, "triton"), results(dense, "triton")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("implementation", ["triton", "reference"])
def test_tokens_outside_of_sequences_give_zero_and_change_nothing(
    implementation: str, device: torch.device
) -> None:
    each = case([N + 2, 5], targets=[3, 0], widths=(5, 7)).to(device)
    assert each.bias is not None
    around: dict[str, Any] = {
        name: _amid_nan(getattr(each, name)) for name in vars(each) if "_TH" in name
    }
    times = {
        name: torch.nn.functional.pad(getattr(each.bias, name), (2, 3), value=-(2**62))
        for name in ("query_time_T", "key_time_T")
    }
    bias = replace(each.bias, **times)
    wider = replace(each, **around, bias=bias, offsets_B1=each.offsets_B1 + 2)
    found, expected = results(wider, implementation), results(each, implementation)
    for name, right in expected.items():
        amid = found[name][2:-3] if "_TH" in name else found[name]
        assert torch.equal(amid, right)
        assert "_TH" not in name or not (found[name][:2].any() or found[name][-3:].any())


def _amid_nan(x_THW: Tensor) -> Tensor:
    return torch.nn.functional.pad(x_THW, (0, 0, 0, 0, 2, 3), value=torch.nan)


@pytest.mark.parametrize("implementation", ["triton", "reference"])
def test_a_target_is_scored_in_company_as_it_is_alone(
    implementation: str, device: torch.device
) -> None:
    history, targets = N + 2, N // 2
    together = case([history + targets], targets=[targets], positions=4 * N).to(device)
    out_THV = results(together, implementation)["out_THV"]
    for target in (0, 1, targets - 1):
        rows = torch.tensor([*range(history), history + target], device=device)
        alone = _of_rows(together, rows)
        assert relative_error(results(alone, implementation)["out_THV"], out_THV[rows]) < 1e-6


def _of_rows(each: Case, rows_T: Tensor) -> Case:
    assert each.bias is not None
    tokens: dict[str, Any] = {
        name: getattr(each, name)[rows_T] for name in vars(each) if "_TH" in name
    }
    times = {name: getattr(each.bias, name)[rows_T] for name in ("query_time_T", "key_time_T")}
    ends: dict[str, Any] = {
        "offsets_B1": torch.tensor([0, len(rows_T)], device=rows_T.device),
        "targets_B": torch.ones_like(rows_T[:1]),
    }
    return replace(each, **tokens, **ends, bias=replace(each.bias, **times))


def test_buckets_of_time_are_exact_in_the_kernel(device: torch.device) -> None:
    edges = [2**k + step for k in (0, 1, 2, 10, 24, 25, 30, 41) for step in (-1, 0, 1)]
    elapsed = torch.tensor([-(2**40), 0, *edges, *(3 * edge // 2 for edge in edges)])
    pairs = case([2] * len(elapsed), heads=1, widths=(1, 1))
    assert pairs.bias is not None
    key_time_T = torch.zeros(2 * len(elapsed), dtype=torch.int64)
    query_time_T = torch.stack([key_time_T[::2], elapsed], 1).flatten()
    tables = torch.zeros(1, 1), 1 + torch.arange(60.0)[None]
    bias = replace(pairs.bias, position_HP=tables[0], time_HC=tables[1])
    bias = replace(bias, query_time_T=query_time_T, key_time_T=key_time_T)
    first_counts = torch.tensor([1.0, 0.0]).repeat(len(elapsed))[:, None, None]
    zeros = torch.zeros_like(pairs.q_THD)
    pairs = replace(pairs, q_THD=zeros, k_THD=zeros, v_THV=first_counts, bias=bias).to(device)
    inputs = (pairs.q_THD, pairs.k_THD, pairs.v_THV, pairs.offsets_B1)
    options: dict[str, Any] = {
        "longest": 2,
        "bias": pairs.bias,
        "divisor": 1.0,
        "implementation": "triton",
    }
    found = hstu_attention(*inputs, **options)[1::2, 0, 0].cpu()
    buckets = torch.tensor([float(oracle.exact_bucket(each, 60)) for each in elapsed.tolist()])
    torch.testing.assert_close(found, torch.nn.functional.silu(1 + buckets))


def test_sums_have_one_order(device: torch.device) -> None:
    # On a GPU of as many programs as can be; the interpreter runs them one after the other anyway.
    name = "more rows than the band" if device.type == "cuda" else "few buckets"
    each = CASES[name].to(device)
    found, again = results(each, "triton"), results(each, "triton")
    assert all(torch.equal(found[name], again[name]) for name in found)


def test_float64_is_not_for_triton() -> None:
    each = CASES["one token"].to(torch.float64)
    with pytest.raises(ValueError, match=r"float64 is given; Triton's kernels take"):
        results(each, "triton")


def broken(rule: Callable[[Case], Tensor]) -> Callable[[Case], dict[str, Tensor]]:
    return lambda each: {"out_THV": rule(each)}


def without_bias(each: Case) -> dict[str, Tensor]:
    return results(replace(each, bias=None))


def one_target_more(each: Case) -> dict[str, Tensor]:
    assert each.targets_B is not None
    return results(replace(each, targets_B=each.targets_B + 1))


def shifted(name: str) -> Callable[[Case], dict[str, Tensor]]:
    return lambda each: {name: results(each)[name].roll(1, -1)}


BROKEN: dict[str, Callable[[Case], dict[str, Tensor]]] = {
    "zeros": lambda each: {k: torch.zeros_like(x) for k, x in results(each).items()},
    "unwritten": lambda each: {k: torch.empty_like(x) for k, x in results(each).items()},
    "no diagonal": broken(lambda each: oracle.attention(each, visible=lambda i, j, _: j < i)),
    "one key too many": broken(
        lambda each: oracle.attention(each, visible=lambda i, j, history: j <= min(i, history))
    ),
    "targets see each other": broken(
        lambda each: oracle.attention(each, visible=lambda i, j, _: j <= i)
    ),
    "one target more": one_target_more,
    "no bias": without_bias,
    "next bucket": broken(
        lambda each: oracle.attention(
            each, bucket=lambda ms, buckets: min(oracle.exact_bucket(ms, buckets) + 1, buckets - 1)
        )
    ),
    "not divided": broken(lambda each: oracle.attention(each, divided=False)),
    "gradient of the next position": shifted("dposition_HP"),
    "gradient of the next bucket": shifted("dtime_HC"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_check_fails_all_that_is_broken(name: str) -> None:
    each = case([9, 1, 14], targets=[3, 0, 0]).to(torch.bfloat16)
    exact = results(each.to(torch.float64))
    broken = BROKEN[name](each.to(torch.float64))
    found = {key: result.to(torch.bfloat16) for key, result in broken.items()}
    assert too_far(found, results(each), {key: exact[key] for key in found}).keys() == found.keys()


MASKED = case([9, 1, 14], targets=[3, 0, 0], window=4, prefix=3)
CHANGES: dict[str, dict[str, Any]] = {
    "one in the window more": {"window": 5},
    "one in the window fewer": {"window": 3},
    "no window": {"window": None},
    "one in the prefix more": {"prefix": 4},
    "no prefix": {"prefix": 0},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_check_fails_a_mask_that_is_off_by_one(change: str) -> None:
    each = replace(MASKED.to(torch.bfloat16), divisor=7.0)
    exact = results(each.to(torch.float64))
    found = results(replace(each.to(torch.float64), **CHANGES[change]))
    rounded = {name: result.to(torch.bfloat16) for name, result in found.items()}
    rows = {"out_THV", "dq_THD", "dk_THD", "dv_THV"}
    assert too_far(rounded, results(each), exact).keys() >= rows


def test_the_check_passes_what_is_right_but_for_rounding() -> None:
    each = case([9, 1, 14], targets=[3, 0, 0]).to(torch.bfloat16)
    exact = results(each.to(torch.float64))
    rounded = {name: result.to(torch.bfloat16) for name, result in exact.items()}
    assert not too_far(rounded, exact, exact)
