"""Items, and what is shown beside them, through our HSTU blocks.

Legend: F positions, M width, I items and none, X items and traits, G genres, P places.
"""

import torch
import torch.nn.functional as fn
from torch import Tensor, nn

from examples.movielens.leave_one_out.batches import Batch
from examples.movielens.leave_one_out.histories import Histories
from examples.movielens.leave_one_out.settings import Settings
from kernels.dropout import Dropout
from model.config import Blocks
from model.hstu import Hstu, Layout

SPREAD = 0.02
STARS = 6
INPUT = 1_000
"""The seed of dropout of the input, apart from those of blocks."""


class Inputs(nn.Module):
    """Vectors of items, and of positions: item, place, and what the settings name beside it."""

    def __init__(self, histories: Histories, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.width
        places = settings.length + histories.trait_UK.shape[1]
        self.id_XM = _spread(histories.ids, width)
        place_PM = nn.init.trunc_normal_(torch.empty(places, width), 0, width**-0.5)
        self.place_PM = nn.Parameter(place_PM)
        genres = histories.genre_IG.shape[1]
        self.genre_GM = _spread(genres, width) if settings.genres else None
        self.stars_SM = _spread(STARS, width) if settings.stars else None

    def vectors(self, genre_IG: Tensor) -> Tensor:
        """A vector for each item, none and trait, [X, M]: its own, and those of its genres."""
        if self.genre_GM is None:
            return self.id_XM
        genre_IM = genre_IG @ self.genre_GM
        return torch.cat([self.id_XM[: len(genre_IM)] + genre_IM, self.id_XM[len(genre_IM) :]])

    def forward(self, batch: Batch, vector_XM: Tensor) -> Tensor:
        """What blocks are given at each position, [F, M], with dropout in training."""
        scale = self.settings.width**0.5
        x_FM = vector_XM.index_select(0, batch.id_F) * scale + chosen(self.place_PM, batch.place_F)
        if self.stars_SM is not None:
            x_FM = x_FM + chosen(self.stars_SM, batch.stars_F) * scale
        return dropped(x_FM, batch.key_F, self.settings.dropout if self.training else 0.0, INPUT)


class HstuEncoder(nn.Module):
    """Blocks of `model/hstu.py` over the positions as they are."""

    def __init__(self, settings: Settings, longest: int) -> None:
        super().__init__()
        shape = Blocks(
            width=settings.width,
            blocks=settings.blocks,
            heads=settings.heads,
            query_width=settings.query_width,
            value_width=settings.value_width,
            dropout=settings.dropout,
            positions=longest,
            time_bias=settings.time,
            precision=settings.precision,
        )
        self.stack = Hstu(shape, longest)

    def forward(self, x_FM: Tensor, batch: Batch) -> Tensor:
        """What each position knows: [F, M]."""
        layout = Layout(batch.offsets_B1, batch.longest, batch.asked_F, batch.time_F, batch.key_F)
        known_FM: Tensor = self.stack(x_FM, layout)[0]
        return known_FM


def chosen(row_PM: Tensor, index_F: Tensor) -> Tensor:
    """Rows of a small table. Their gradient is a product, since many positions have the same."""
    return fn.one_hot(index_F, len(row_PM)).to(row_PM.dtype) @ row_PM


def dropped(x_FM: Tensor, key_F: Tensor, rate: float, seed: int) -> Tensor:
    """With some elements at zero and the others larger, by a hash of the position's key."""
    return x_FM * Dropout(rate, seed, key_F).factor(x_FM, implementation=None) if rate else x_FM


def _spread(rows: int, width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(rows, width), 0, SPREAD))
