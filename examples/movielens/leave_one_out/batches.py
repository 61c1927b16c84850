"""Which part of each history a step is shown: sequences one after the other, at a fixed size.

A sequence is, first, the user's traits if they are asked for; then at most `length` contents. At a
content the target is the next one, which is asked for at its own time. A batch has room for a fixed
number of positions, so that a step can be a CUDA graph; what is not needed is after all sequences.

Legend: B sequences, B1 = B + 1, F positions, the room included; U, N, K as in histories.py.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from examples.movielens.leave_one_out.histories import Histories
from kernels.hashing import hashed, uniform

NO_TARGET = 0
SHUFFLING, WINDOWS = 1, 2


class Batch(NamedTuple):
    """Positions of sequences: sequence b has `offsets_B1[b]:offsets_B1[b + 1]`.

    `id_F` is an item or a trait, 0 beyond all sequences; `target_F` an item, or 0 for none. `key_F`
    is what is drawn by at a position. Times are ms; all is int64. `longest` is not exceeded.
    """

    offsets_B1: Tensor
    sequence_F: Tensor
    place_F: Tensor
    id_F: Tensor
    stars_F: Tensor
    time_F: Tensor
    asked_F: Tensor
    target_F: Tensor
    key_F: Tensor
    longest: int


class Shown(NamedTuple):
    """What of a history a model may see: `length` contents at most, traits or not, and what is held
    back: the last content alone (1, for the test), or the last two (2, for validation)."""

    length: int
    traits: bool
    held: int

    def ends(self, histories: Histories) -> Tensor:
        """Where each history ends in training, exclusive: [U]."""
        return histories.offsets_U1[1:] - self.held

    def counts(self, histories: Histories) -> Tensor:
        """How many positions a user has in training: [U]."""
        contents_U = self.ends(histories) - histories.offsets_U1[:-1] - 1
        return contents_U.clamp(0, self.length) + self._head(histories)

    def longest(self, histories: Histories) -> int:
        """The most positions of a sequence."""
        return self.length + self._head(histories)

    def _head(self, histories: Histories) -> int:
        return histories.trait_UK.shape[1] if self.traits else 0


def batch_of(
    histories: Histories, shown: Shown, user_B: Tensor, end_B: Tensor, room: int, step: Tensor
) -> Batch:
    """The sequences of users whose last target is just before `end_B`; -1 is no user.

    `room` is F, at least what they need. Nothing here waits for a GPU. `step` is a scalar, by which
    the keys differ.
    """
    head = shown.longest(histories) - shown.length
    there_B = user_B >= 0
    user_B = user_B.clamp(min=0)
    contents_B = (end_B - histories.offsets_U1[user_B] - 1).clamp(0, shown.length)
    count_B = torch.where(there_B, contents_B + head, 0)
    offsets_B1 = torch.cat([count_B.new_zeros(1), count_B.cumsum(0)])
    at_F = torch.arange(room, device=user_B.device)
    sequence_F = torch.searchsorted(offsets_B1[1:], at_F, right=True)
    inside_F = sequence_F < len(user_B)
    owner_F = sequence_F.clamp(max=len(user_B) - 1)
    place_F = torch.where(inside_F, at_F - offsets_B1[owner_F], 0)
    is_content_F = inside_F & (place_F >= head)
    first_F = (end_B - 1 - contents_B)[owner_F]
    content_F = torch.where(is_content_F, first_F + place_F - head, 0)
    return _filled(
        *(histories, user_B[owner_F], content_F, is_content_F),
        *(offsets_B1, torch.where(inside_F, sequence_F, len(user_B)), place_F, step),
        head,
        shown.longest(histories),
    )


def _filled(
    histories: Histories,
    user_F: Tensor,
    content_F: Tensor,
    is_content_F: Tensor,
    offsets_B1: Tensor,
    sequence_F: Tensor,
    place_F: Tensor,
    step: Tensor,
    head: int,
    longest: int,
) -> Batch:
    """A batch, from where its contents are among all."""
    inside_F = sequence_F < len(offsets_B1) - 1
    next_F = torch.where(is_content_F, content_F + 1, 0).clamp(max=len(histories.item_N) - 1)
    id_F = torch.where(is_content_F, histories.item_N[content_F], 0)
    time_F = torch.where(is_content_F, histories.time_N[content_F], 0)
    asked_F = torch.where(is_content_F, histories.time_N[next_F], 0)
    if head:
        is_trait_F = inside_F & ~is_content_F
        trait_F = histories.trait_UK[user_F, place_F.clamp(max=head - 1)]
        since_F = histories.time_N[histories.offsets_U1[user_F]]
        id_F = torch.where(is_trait_F, trait_F, id_F)
        time_F = torch.where(is_trait_F, since_F, time_F)
        asked_F = torch.where(is_trait_F, since_F, asked_F)
    return Batch(
        offsets_B1,
        sequence_F,
        place_F,
        id_F,
        torch.where(is_content_F, histories.stars_N[content_F], 0),
        time_F,
        asked_F,
        torch.where(is_content_F, histories.item_N[next_F], NO_TARGET),
        hashed(0, step.expand_as(user_F), user_F, place_F),
        longest,
    )


def epoch_of(users: int, batch: int, seed: int, epoch: int) -> Tensor:
    """The users of each step of an epoch in an order of its own; -1 fills the last: [S, B]."""
    order_U = hashed(seed, torch.full((users,), SHUFFLING + 10 * epoch), torch.arange(users))
    steps = -(-users // batch)
    user_SB = torch.full((steps * batch,), -1)
    user_SB[:users] = order_U.argsort()
    return user_SB.view(steps, batch)


def ends_of(histories: Histories, shown: Shown, seed: int, epoch: int, newest: float) -> Tensor:
    """Where each user's targets end in an epoch: at the newest, or, for a share 1 - `newest` of
    the users, anywhere that leaves a whole window, if there is one. [U], on the CPU."""
    end_U, begin_U = shown.ends(histories), histories.offsets_U1[:-1]
    spare_U = (end_U - begin_U - 1 - shown.length).clamp(min=0)
    user_U = torch.arange(len(end_U))
    key_U = torch.full_like(user_U, WINDOWS + 10 * epoch)
    share_U, away_U = (uniform(seed, key_U, user_U, torch.full_like(user_U, k)) for k in (0, 1))
    back_U = (away_U.double() * (spare_U + 1)).long()
    return torch.where(share_U < newest, end_U, end_U - back_U)
