"""A model of the next item: inputs, an encoder, and the angle between what is asked and the items.

Legend: B sequences, F positions, M width, I items and none.
"""

import torch
from torch import Tensor, nn

from examples.movielens.leave_one_out.batches import Batch
from examples.movielens.leave_one_out.histories import Histories
from examples.movielens.leave_one_out.hstu import HstuEncoder, Inputs
from examples.movielens.leave_one_out.losses import drawn_items, next_item_loss
from examples.movielens.leave_one_out.sasrec import SasrecEncoder
from examples.movielens.leave_one_out.settings import Settings

ENCODERS = {"hstu": HstuEncoder, "sasrec": SasrecEncoder}


class NextItem(nn.Module):
    """Equal seeds give equal weights."""

    def __init__(self, histories: Histories, settings: Settings, longest: int, seed: int) -> None:
        super().__init__()
        self.settings = settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.inputs = Inputs(histories, settings)
            self.encoder = ENCODERS[settings.encoder](settings, longest)
        self.genre_IG = nn.Buffer(histories.genre_IG, persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        item_IM, query_FM = self._both(batch)
        wanted, items = self.settings.negatives, len(item_IM)
        drawn_FS = drawn_items(batch.key_F, wanted, items) if wanted else None
        return next_item_loss(
            query_FM, item_IM, batch.target_F, drawn_FS, self.settings.temperature
        )

    def scores(self, batch: Batch) -> Tensor:
        """Of each item what the last position of each sequence thinks of it: [B, I], cosines.

        No sequence may be empty.
        """
        item_IM, query_FM = self._both(batch)
        last_B = batch.offsets_B1[1:] - 1
        return nn.functional.normalize(query_FM[last_B]) @ nn.functional.normalize(item_IM).T

    def _both(self, batch: Batch) -> tuple[Tensor, Tensor]:
        vector_XM = self.inputs.vectors(self.genre_IG)
        known_FM: Tensor = self.encoder(self.inputs(batch, vector_XM), batch)
        return vector_XM[: len(self.genre_IG)], known_FM
