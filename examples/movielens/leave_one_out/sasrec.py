"""SASRec, to compare with (Kang and McAuley, "Self-Attentive Sequential Recommendation", 2018).

As the HSTU paper trains it: queries alone are normed, and what attention gives is added to the
normed input, as in the original.

Legend: B sequences, N places, L = B N, F positions, M width, H heads, D = M / H.
"""

import torch
import torch.nn.functional as fn
from torch import Tensor, nn

from examples.movielens.leave_one_out.batches import Batch
from examples.movielens.leave_one_out.hstu import dropped
from examples.movielens.leave_one_out.settings import Settings
from kernels.hashing import uniform

EPS = 1e-8
OF_BLOCK = 10
"""Seeds of dropout that a block may use."""


class SasrecEncoder(nn.Module):
    """Blocks over padded sequences."""

    def __init__(self, settings: Settings, longest: int) -> None:
        super().__init__()
        self.longest = longest
        self.blocks = nn.ModuleList(
            SasrecBlock(settings, OF_BLOCK * number) for number in range(settings.blocks)
        )

    def forward(self, x_FM: Tensor, batch: Batch) -> Tensor:
        """What each position knows: [F, M]."""
        sequences = len(batch.offsets_B1) - 1
        cell_F = batch.sequence_F * self.longest + batch.place_F
        cells = (sequences + 1) * self.longest  # what is in no sequence makes one of its own
        x_BNM = _put(x_FM, cell_F, cells).view(sequences + 1, self.longest, -1)[:sequences]
        key_LM = _put(batch.key_F.unsqueeze(1), cell_F, cells)
        key_BN = key_LM.view(sequences + 1, self.longest)[:sequences]
        for block in self.blocks:
            x_BNM = block(x_BNM, key_BN)
        known_LM = fn.pad(x_BNM.flatten(0, 1), (0, 0, 0, self.longest))
        return known_LM[cell_F]


class SasrecBlock(nn.Module):
    """Attention, then a feed-forward as wide as the model."""

    def __init__(self, settings: Settings, seed: int) -> None:
        super().__init__()
        width = settings.width
        self.heads, self.seed, self.dropout = settings.heads, seed, settings.dropout
        self.query, self.key, self.value = (_linear(width) for _ in range(3))
        self.output, self.inner, self.outer = (_linear(width) for _ in range(3))

    def forward(self, x_BNM: Tensor, key_BN: Tensor) -> Tensor:
        """The places after this block: [B, N, M]."""
        rate = self.dropout if self.training else 0.0
        normed_BNM = fn.layer_norm(x_BNM, x_BNM.shape[-1:], eps=EPS)
        given = (self.query(normed_BNM), self.key(x_BNM), self.value(x_BNM))
        attended_BNM = self.output(self._attention(*given, key_BN, rate))
        x_BNM = fn.layer_norm(normed_BNM + attended_BNM, x_BNM.shape[-1:], eps=EPS)
        inner_BNM = self._dropped(fn.relu(self.inner(x_BNM)), key_BN, rate, 1)
        return x_BNM + self._dropped(self.outer(inner_BNM), key_BN, rate, 2)

    def _attention(
        self, q_BNM: Tensor, k_BNM: Tensor, v_BNM: Tensor, key_BN: Tensor, rate: float
    ) -> Tensor:
        parts = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (q_BNM, k_BNM, v_BNM))
        q_BHND, k_BHND, v_BHND = parts
        places = q_BNM.shape[1]
        ahead_NN = torch.ones(places, places, dtype=torch.bool, device=q_BNM.device).triu(1)
        scores_BHNN = (q_BHND @ k_BHND.transpose(2, 3)) * q_BHND.shape[-1] ** -0.5
        weights_BHNN = scores_BHNN.masked_fill(ahead_NN, -torch.inf).softmax(-1)
        if rate:
            number_HN = torch.arange(self.heads * places, device=q_BNM.device).view(-1, 1, places)
            key_BHNN = key_BN[:, None, :, None]
            drawn_BHNN = uniform(self.seed, key_BHNN, number_HN)
            weights_BHNN = weights_BHNN * (drawn_BHNN >= rate) / (1 - rate)
        attended_BHND: Tensor = weights_BHNN @ v_BHND
        return attended_BHND.transpose(1, 2).flatten(2)

    def _dropped(self, x_BNM: Tensor, key_BN: Tensor, rate: float, place: int) -> Tensor:
        flat_LM = dropped(x_BNM.flatten(0, 1), key_BN.flatten(), rate, self.seed + place)
        return flat_LM.view_as(x_BNM)


def _put(x_FM: Tensor, cell_F: Tensor, cells: int) -> Tensor:
    """Rows at their cells, zeros elsewhere; of those at one cell any."""
    return x_FM.new_zeros(cells, x_FM.shape[1]).index_copy(0, cell_F, x_FM)


def _linear(width: int) -> nn.Linear:
    layer = nn.Linear(width, width)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
