"""The contents that a target is told from: the same for all of a step, on all processes.

They are drawn by a hash of the step's key, so that a step that is repeated draws the same.
"""

import torch
from torch import Tensor

from kernels.hashing import hashed, key_of
from model.batch import SequenceBatch
from model.config import TrainConfig
from model.exchange import Exchange
from model.retrieval import positive_bits
from model.views import retrieval_view
from model.vocabulary.catalogue import Catalogue
from schemas.spec import Spec


def other_contents(
    batch: SequenceBatch,
    catalogue: Catalogue,
    spec: Spec,
    config: TrainConfig,
    key: int,
    exchange: Exchange,
) -> Tensor:
    """Ids of contents, drawn by a key without repeats: int64 [S].

    Either drawn evenly from the catalogue, or targets of the step's own batches, of which the
    popular ones stand for themselves once.
    """
    wanted = config.retrieval.negatives if "retrieval" in config.tasks_for(spec) else 0
    if config.retrieval.source == "catalogue" or not wanted:
        drawn_S: Tensor = torch.unique(catalogue.sample(key_of(key), wanted))
        return drawn_S
    view = retrieval_view(batch, positive_bits(spec))
    target_N = torch.cat(exchange.gather(view.target_F[view.has_target_F]))
    id_U: Tensor = torch.unique(target_N)
    chosen_S = hashed(key_of(key), id_U).argsort()[:wanted]
    return id_U[chosen_S].sort().values
