"""Which feature entries a subsequence needs: those in effect at one of its contents.

An entry is in effect from its place up to the next entry of the same scalar, or of the same member
of the same set. So it is needed if any content between the two is chosen. Where contents are
chosen by rank, it is needed from the least rank between the two on, and that is a minimum over a
range. A removal is needed only where an addition before it is: as in S9, what isn't there needs no
taking back.

Legend (numpy arrays): R rows, T tokens, E contents, F feature entries, of all rows.
"""

from collections.abc import Collection

import numpy as np

from model.sampling.token_rows import Bools, Ints, TokenRows
from schemas.sequences import FIRST_FEATURE

NEVER = 2**31
"""A rank that no content has."""


def needed_from(rows: TokenRows, rank_E: Ints, sets: Collection[int]) -> tuple[Ints, Ints]:
    """The token of each feature entry, and the rank from which on the entry is needed, or NEVER.

    `rank_E` ranks the contents of each row from 0 on. `sets` are the token types of set features.
    Both results are ordered by row, feature, member and place.
    """
    token_F = np.flatnonzero(rows.type_T >= FIRST_FEATURE)
    type_F, id_F, row_F = rows.type_T[token_F], rows.id_T[token_F], rows.row_T[token_F]
    member_F = np.where(np.isin(type_F, list(sets)), np.abs(id_F), 0)
    order_F = np.lexsort((member_F, type_F, row_F))
    token_F, is_removal_F = token_F[order_F], (id_F < 0)[order_F]
    key_3F = np.stack([row_F, type_F, member_F])[:, order_F]
    continues_F = np.zeros(len(token_F), bool)
    continues_F[1:] = (key_3F[:, 1:] == key_3F[:, :-1]).all(axis=0)
    rank_F = _least_rank_in_effect(rows, rank_E, token_F, continues_F)
    return token_F, _with_additions(rank_F, is_removal_F, np.cumsum(~continues_F))


def _least_rank_in_effect(rows: TokenRows, rank_E: Ints, token_F: Ints, continues_F: Bools) -> Ints:
    """The least rank of the contents between each entry and the one that supersedes it."""
    begin_F = rows.contents_before_T1[token_F]
    end_F = rows.content_offsets_R1[rows.row_T[token_F] + 1]
    superseded_F = np.flatnonzero(continues_F) - 1
    end_F[superseded_F] = begin_F[superseded_F + 1]
    return range_minimum(rank_E, begin_F, end_F)


def _with_additions(rank_F: Ints, is_removal_F: Bools, key_F: Ints) -> Ints:
    """Raises the ranks of removals to the least of the additions before them of the same key.

    Keys are numbered upwards, so that each lies lower than the one before and one running minimum
    serves all.
    """
    lowered_F = np.where(is_removal_F, NEVER, rank_F) - key_F * (NEVER + 1)
    least_F = np.minimum.accumulate(lowered_F) + key_F * (NEVER + 1)
    return np.where(is_removal_F, np.maximum(rank_F, least_F), rank_F)


def range_minimum(values_E: Ints, begin_F: Ints, end_F: Ints) -> Ints:
    """The least of values[begin:end] for each range, NEVER where it is empty.

    By a sparse table (Bender and Farach-Colton, 2000): a range is covered by two of the same power
    of two.
    """
    length_F = end_F - begin_F
    least_F = np.full(len(length_F), NEVER)
    table, width = values_E, 1
    while width <= length_F.max(initial=0):
        now = np.flatnonzero((length_F >= width) & (length_F < 2 * width))
        least_F[now] = np.minimum(table[begin_F[now]], table[end_F[now] - width])
        table = np.minimum(table[:-width], table[width:])
        width *= 2
    return least_F
