"""The alternative to a table that grows: a fixed number of rows, shared by hash (the hash trick,
Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009).
"""

import torch
from torch import Tensor

from kernels.hashing import hashed, key_of
from model.exchange import Exchange
from model.vocabulary.settings import RowwiseAdamW, VocabularySettings
from model.vocabulary.shard import NULL
from model.vocabulary.table import EmbeddingTable

_KEY = key_of(0x4A54)


class HashedTable(EmbeddingTable):
    """A table in whose place of ids stand their buckets, so it has a row a bucket at most.

    What is said of an id, whether it is known or new, and when it was seen first, is true of its
    bucket. Null still has a row of its own.
    """

    def __init__(
        self,
        name: str,
        width: int,
        settings: VocabularySettings,
        optimizer: RowwiseAdamW,
        exchange: Exchange,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(name, width, settings, optimizer, exchange, seed, device)
        self._buckets = settings.buckets

    def _stored(self, id_N: Tensor) -> Tensor:
        bucket_N = hashed(_KEY, id_N).remainder(self._buckets) + 1
        return torch.where(id_N == NULL, NULL, bucket_N)


def embedding_table(
    name: str,
    width: int,
    settings: VocabularySettings,
    optimizer: RowwiseAdamW,
    exchange: Exchange,
    seed: int,
    device: torch.device | str = "cpu",
) -> EmbeddingTable:
    """The table of the kind that the settings ask for."""
    kind = HashedTable if settings.kind == "hashed" else EmbeddingTable
    return kind(name, width, settings, optimizer, exchange, seed, device)
