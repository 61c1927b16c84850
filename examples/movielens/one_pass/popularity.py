"""Popularity, judged on the same targets: what was engaged with most, lately worth more.

A content's score is the sum of 2^(-age / half-life) over the engagements with it in earlier
sessions; candidates are the contents of these.

Legend: Q targets of a session, R contents, K contents of a history.
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from examples.movielens.one_pass.ranks import Ranks, rank
from examples.movielens.one_pass.stream import Sessions
from schemas.sequences import CONTENT

DAY_MS = 86_400_000
HALF_LIFE = 30 * DAY_MS


class Popularity:
    """How popular contents are by some time."""

    def __init__(self, contents: int, half_life: float = HALF_LIFE) -> None:
        self._heat_R = torch.zeros(contents, dtype=torch.float64)
        self._known_R = torch.zeros(contents, dtype=torch.bool)
        self._half_life, self._at = half_life, 0

    def ranks(self, content_K: Tensor, new: int) -> tuple[Tensor, Tensor]:
        """Of the last `new` contents of a history, but for one with none before it: ranks among
        all candidates, and among those that are not earlier in the history. int64 [Q] each."""
        place_Q = torch.arange(max(len(content_K) - new, 1), len(content_K))
        target_Q = content_K[place_Q]
        first_R = torch.full(self._known_R.shape, len(content_K))
        first_R.scatter_reduce_(0, content_K, torch.arange(len(content_K)), "amin")
        unseen_QR = (first_R >= place_Q.unsqueeze(1)) & self._known_R
        score_QR = self._heat_R.expand(len(place_Q), -1)
        column_Q = torch.where(self._known_R[target_Q], target_Q, -1)
        all_QR = self._known_R.expand(len(place_Q), -1)
        return rank(score_QR, column_Q, all_QR), rank(score_QR, column_Q, unseen_QR)

    def learn(self, content_n: Tensor, now_ms: int) -> None:
        """Takes note of contents that were engaged with."""
        self._heat_R *= 2 ** ((self._at - now_ms) / self._half_life)
        self._at = now_ms
        self._heat_R.index_add_(0, content_n, torch.ones(len(content_n), dtype=torch.float64))
        self._known_R[content_n] = True


def popularity(sessions: Sessions) -> Ranks:
    """The ranks of all targets of all sessions."""
    histories = _histories(sessions.rows)
    popular = Popularity(1 + max(int(content_K.max()) for content_K, _ in histories))
    parts = []
    each = zip(histories, sessions.new_R.tolist(), sessions.end_R.tolist(), strict=True)
    for step, ((content_K, time_K), new, end) in enumerate(each):
        rank_Q, unseen_Q = popular.ranks(content_K, new)
        place_Q = torch.arange(len(content_K) - len(rank_Q), len(content_K))
        columns = (torch.full_like(place_Q, end), time_K[place_Q], content_K[place_Q], place_Q)
        parts.append(torch.stack([*columns, rank_Q, unseen_Q, torch.full_like(place_Q, step)]))
        popular.learn(content_K[len(content_K) - new :], end)
    return Ranks(parts)


def _histories(rows: pa.RecordBatch) -> list[tuple[Tensor, Tensor]]:
    """The contents of each row, by id, and their times (ms)."""
    types, ids, times = (rows[name] for name in ("token_type", "token_id", "token_time"))
    offsets = np.asarray(types.offsets).tolist()
    is_content_T = np.asarray(types.values) == CONTENT
    id_T, time_T = np.asarray(ids.values), np.asarray(times.values.cast(pa.int64()))
    found = []
    for start, stop in pairwise(offsets):
        here = start + np.flatnonzero(is_content_T[start:stop])
        found.append((torch.from_numpy(id_T[here]), torch.from_numpy(time_T[here])))
    return found
