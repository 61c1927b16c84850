"""Beam search: the most probable sequences of next contents, found without trying all.

Legend: N prefixes, L contents of each so far, R rows of the catalogue, K sequences.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Scorer = Callable[[Tensor], Tensor]
"""Prefixes, rows of the catalogue as int64 [N, L], to log-probabilities of what comes next, [N, R].

-inf where a row cannot come. The first call has one prefix of no contents."""

_ROUNDING = 1e-3
"""How far over 0 a logarithm may come of rounding."""


class Beam(NamedTuple):
    """Sequences, the most probable first: rows of the catalogue, and log-probabilities."""

    row_KL: Tensor
    log_probability_K: Tensor


def beam_search(scorer: Scorer, length: int, width: int, *, repeats: bool = False) -> Beam:
    """The best sequences of `length` contents, at most `width`, which is also how many prefixes are
    kept on the way.

    Without `repeats` no content comes twice; the log-probabilities stay the scorer's. There are
    fewer sequences where fewer are possible, and shorter ones where none of that length is. A
    wider beam finds better sequences; one that holds all prefixes finds the best. Raises ValueError
    where the scorer gives something that is no log-probability.
    """
    beam = Beam(torch.empty(1, 0, dtype=torch.int64), torch.zeros(1))
    for _ in range(length):
        longer = _extended(beam, scorer(beam.row_KL), width, repeats)
        if not len(longer.row_KL):
            break
        beam = longer
    return beam


def _extended(beam: Beam, log_probability_NR: Tensor, width: int, repeats: bool) -> Beam:
    """The best `width` of all sequences that are one content longer."""
    _check(log_probability_NR)
    prefix_NL = beam.row_KL.to(log_probability_NR.device)
    if not repeats:
        log_probability_NR = log_probability_NR.scatter(1, prefix_NL, -torch.inf)
    total_NR = beam.log_probability_K.to(log_probability_NR).unsqueeze(1) + log_probability_NR
    best_K, place_K = total_NR.flatten().topk(min(width, total_NR.numel()))
    best_K, place_K = best_K[best_K > -torch.inf], place_K[best_K > -torch.inf]
    prefix_K, row_K = place_K // total_NR.shape[1], place_K % total_NR.shape[1]
    return Beam(torch.cat([prefix_NL[prefix_K], row_K.unsqueeze(1)], dim=1), best_K)


def _check(log_probability_NR: Tensor) -> None:
    wrong = ~(log_probability_NR <= _ROUNDING)  # NaN is not at most anything
    if wrong.any():
        found = log_probability_NR[wrong][0].item()
        raise ValueError(f"the scorer gave {found}; a log-probability is a number of at most 0")
