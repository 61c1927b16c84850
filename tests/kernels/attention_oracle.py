"""HSTU attention in plain loops, score by score, with the exact bucket of a time difference."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from tests.kernels.attention_cases import Case

Visible = Callable[[int, int, int], bool]


def is_visible(i: int, j: int, history: int, window: int | None = None, prefix: int = 0) -> bool:
    """Whether a query i sees a key j, where so many positions are before the targets."""
    prefix = min(prefix, history)
    if i < prefix and j < prefix:
        return True
    if j >= history or j >= i:
        return j == i
    return j < prefix or window is None or min(i, history) - j < window


def exact_bucket(difference: int, buckets: int) -> int:
    """Two buckets an octave of what is left after rounding to 24 bits, half to even."""
    if difference <= 0:
        return 0
    below = max(difference.bit_length() - 24, 0)
    unit = 1 << below
    kept, rest = divmod(difference, unit)
    up = 2 * rest > unit or (2 * rest == unit and kept % 2 == 1)
    rounded = (kept + up) * unit
    octave = rounded.bit_length() - 1
    upper_half = 2 * rounded >= 3 << octave
    return min(1 + 2 * octave + upper_half, buckets - 1)


def attention(
    case: Case,
    *,
    visible: Visible | None = None,
    bucket: Callable[[int, int], int] = exact_bucket,
    divided: bool = True,
    softmax: bool = False,
) -> Tensor:
    """What attention must give; the rules may be broken to see whether a check would notice."""
    sees = visible or partial(is_visible, window=case.window, prefix=case.prefix)
    out_THV = torch.zeros_like(case.v_THV)
    bounds = case.offsets_B1.tolist()
    for b, (start, end) in enumerate(pairwise(bounds)):
        length = end - start
        targets = 0 if case.targets_B is None else int(case.targets_B[b])
        history = max(length - targets, 0)
        most = length if history == length else history + 1
        if case.window is not None:
            most = min(most, case.window + case.prefix)
        divisor = case.divisor or most
        for h in range(case.q_THD.shape[1]):
            for i in range(length):
                seen = [j for j in range(length) if sees(i, j, history)]
                scores = [_score(case, h, start, i, j, history, bucket) for j in seen]
                if softmax:
                    total = sum(math.exp(score) for score in scores)
                    weights = [math.exp(score) / total for score in scores]
                else:
                    by = divisor if divided else 1
                    weights = [score / (1 + math.exp(-score)) / by for score in scores]
                for j, weight in zip(seen, weights, strict=True):
                    out_THV[start + i, h] += weight * case.v_THV[start + j, h]
    return out_THV


def _score(
    case: Case,
    h: int,
    start: int,
    i: int,
    j: int,
    history: int,
    bucket: Callable[[int, int], int],
) -> float:
    score = case.alpha * float(case.q_THD[start + i, h] @ case.k_THD[start + j, h])
    if case.bias is None:
        return score
    distance = 0 if i == j else min(i, history) - j
    last = case.bias.position_HP.shape[1] - 1
    elapsed = int(case.bias.query_time_T[start + i] - case.bias.key_time_T[start + j])
    place = bucket(elapsed, case.bias.time_HC.shape[1])
    score += float(case.bias.position_HP[h, max(min(distance, last), 0)])
    return score + float(case.bias.time_HC[h, place])
