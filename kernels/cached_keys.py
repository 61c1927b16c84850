"""Keys and values that are kept in pages, and who asks them.

In pages, as of Kwon et al., "Efficient Memory Management for Large Language Model Serving with
PagedAttention", SOSP 2023, histories grow and go without a copy of others.

Q queries · R rows of all pages · B histories · X most pages of a history · N blocks of queries · H
heads · D width of a query or key head · V width of a value head · P relative positions · C time
buckets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

CANDIDATES, TOKENS = 64, 16
"""Most queries of a block that Triton takes: candidates; and others, of which a history has few."""


@dataclass(frozen=True)
class CachedKeys:
    """Keys, values and times (ms, int64) of B histories.

    Position j of history b is at row page_BX[b, j // page] · page + j % page; there are
    `length_B[b]` of them. Pages and lengths are int32.
    """

    k_RHD: Tensor
    v_RHV: Tensor
    time_R: Tensor
    page_BX: Tensor
    length_B: Tensor
    page: int


@dataclass(frozen=True)
class Queries:
    """What asks: positions and times (ms), both int64, and blocks of queries of one history.

    A block of `block_N3` (int32) is its first query, how many there are, and their history; one of
    none is passed over.
    """

    block_N3: Tensor
    position_Q: Tensor
    time_Q: Tensor

    @staticmethod
    def blocks(counts: Sequence[int], most: int) -> npt.NDArray[np.int32]:
        """Blocks [N, 3] of at most so many, where history b has so many queries, one after the
        other."""
        count_B = np.asarray(counts, np.int32)
        blocks_B = -(-count_B // most)
        history_N = np.repeat(np.arange(len(count_B)), blocks_B)
        nth_N = np.arange(len(history_N)) - (blocks_B.cumsum() - blocks_B)[history_N]
        first_N = (count_B.cumsum() - count_B)[history_N] + nth_N * most
        size_N = np.minimum(count_B[history_N] - nth_N * most, most)
        return np.stack([first_N, size_N, history_N], 1).astype(np.int32)


@dataclass(frozen=True)
class Tables:
    """The bias by distance and by time, as in `RelativeBias`."""

    position_HP: Tensor
    time_HC: Tensor
