"""A subsequence of at most so many tokens: which contents it has, and what goes with them.

Contents are ranked, and of each row as many are taken as fit, in order of rank. First come those
of the session just completed, newest first, since they are what is scored and learned. Then the
others, in one of the orders that the paper compares (Zhai et al., 2024, appendix on Stochastic
Length): the newest, evenly drawn, or drawn with weights that fall with age. Φ and its a stay
together, and the feature entries that are in effect stay with them (model/in_effect.py).

Legend (numpy arrays): R rows, T tokens, E contents, F feature entries, of all rows.
"""

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import xxhash

from model.sampling.in_effect import NEVER, needed_from
from model.sampling.token_rows import Bools, Floats, Ints, TokenRows, sums_before

Choice = Literal["newest", "random", "recency"]


def subsequences(rows: TokenRows, limit_R: Ints, rank_E: Ints, sets: Collection[int] = ()) -> Bools:
    """The tokens that stay: bool [T].

    Of each row the contents of the least ranks, as many as there is room for within its limit with
    the entries in effect at them, but at least one. Only where a single one has no room with its
    entries, the oldest entries go (as in S9). Limits are at least 2.
    """
    token_F, needed_F = needed_from(rows, rank_E, sets)
    taken_R = _that_fit(rows, limit_R, rows.row_T[token_F], needed_F)
    keep_T = np.zeros(len(rows.type_T), bool)
    content_E = rows.content_E[rank_E < taken_R[rows.row_E]]
    keep_T[content_E] = keep_T[content_E + 1] = True
    entry_F = np.sort(token_F[needed_F < taken_R[rows.row_T[token_F]]])
    keep_T[_newest(entry_F, rows.row_T[entry_F], limit_R - 2 * taken_R)] = True
    return keep_T


def _that_fit(rows: TokenRows, limit_R: Ints, row_F: Ints, needed_F: Ints) -> Ints:
    """How many contents of each row fit, at least one: [R]."""
    offsets_R1 = rows.content_offsets_R1
    contents_R = np.diff(offsets_R1)
    needed = needed_F < NEVER
    # At the place of the k-th content of a row: what its k-th rank adds.
    place_F = offsets_R1[row_F[needed]] + needed_F[needed]
    added_E = 2 + np.bincount(place_F, minlength=len(rows.content_E))
    total_E1 = sums_before(added_E)
    total_E = total_E1[1:] - total_E1[offsets_R1[:-1]][rows.row_E]
    fits_E = total_E <= limit_R[rows.row_E]
    return np.maximum(np.bincount(rows.row_E[fits_E], minlength=len(contents_R)), 1)


def _newest(entry_F: Ints, row_F: Ints, room_R: Ints) -> Ints:
    """Of entries in order, the last of each row that it has room for."""
    end_R = np.searchsorted(row_F, np.arange(len(room_R)), side="right")
    return entry_F[end_R[row_F] - np.arange(len(entry_F)) <= room_R[row_F]]


def ranks(rows: TokenRows, choice: Choice, seed: int, sequence_ids: Sequence[str]) -> Ints:
    """The rank of each content in its row: int64 [E].

    What is drawn depends on the seed, the id of the sequence and the place of the content alone.
    """
    from_end_E = rows.content_offsets_R1[1:][rows.row_E] - 1 - np.arange(len(rows.row_E))
    is_old_E = from_end_E >= np.maximum(rows.new_contents_R, 1)[rows.row_E]
    key_E = from_end_E.astype(np.float64)
    if choice != "newest":
        weight_E = recency(rows) if choice == "recency" else np.ones(len(key_E))
        key_E = np.where(is_old_E, _arrivals(rows, seed, sequence_ids) / weight_E, key_E)
    order_E = np.lexsort((key_E, is_old_E, rows.row_E))
    rank_E = np.empty(len(key_E), np.int64)
    rank_E[order_E] = np.arange(len(key_E)) - rows.content_offsets_R1[rows.row_E]
    return rank_E


def recency(rows: TokenRows) -> Floats:
    """Weights in (0, 1], linear in time: 1 for the row's newest content, near 0 for its oldest.

    With f = t_newest − t, the paper gives 1 − f / Σ f. Over thousands of contents this sum makes
    all weights nearly the same; here the greatest f, plus a ms, stands in its place.
    """
    time_E = rows.time_T[rows.content_E]
    newest_R = np.full(len(rows.new_contents_R), np.iinfo(np.int64).min)
    np.maximum.at(newest_R, rows.row_E, time_E)
    age_E = newest_R[rows.row_E] - time_E
    oldest_R = np.zeros(len(newest_R), np.int64)
    np.maximum.at(oldest_R, rows.row_E, age_E)
    weight_E: Floats = 1 - age_E / (oldest_R[rows.row_E] + 1)
    return weight_E


def _arrivals(rows: TokenRows, seed: int, sequence_ids: Sequence[str]) -> Floats:
    """Exponential times −log u. Divided by weights, their order is that of weighted drawing without
    replacement (Efraimidis and Spirakis, 2006, with −log of their keys).
    """
    draws = [np.empty(0, np.uint64)]
    for name, contents in zip(sequence_ids, np.diff(rows.content_offsets_R1), strict=True):
        key = xxhash.xxh3_64_intdigest(f"{seed}:contents:{name}".encode())
        draws.append(np.random.Philox(key=key).random_raw(contents))
    uniform_E = ((np.concatenate(draws) >> np.uint64(11)) + 0.5) * 2.0**-53
    arrival_E: Floats = -np.log(uniform_E)
    return arrival_E
