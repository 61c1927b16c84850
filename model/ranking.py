"""The ranking task: at each content, which actions will be taken.

Legend: T tokens, F positions of a view, N positions with a target, M width, A actions.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from model.batch import SequenceBatch
from model.config import TrainConfig
from model.embedding import Embedding, action_bits
from model.experts import Summed
from model.graphed import Graphed
from model.heads import RankingHead, ranking_loss
from model.hstu import Hstu, layout_of
from model.tables import Lookup
from model.views import ranking_view
from schemas.spec import Spec


@dataclass(frozen=True)
class Ranked:
    """What was predicted at each Φ, what was done there, and whether it is of the session just
    completed. `token_N` is the Φ in the batch; `balance` the experts' loss, a scalar."""

    logits_NA: Tensor
    is_done_NA: Tensor
    is_new_N: Tensor
    token_N: Tensor
    balance: Tensor

    def loss(self, lookup: Lookup, new_only: bool) -> tuple[Tensor, Tensor]:
        """The sum over targets, and how many these are: two scalars."""
        if not new_only:
            loss = ranking_loss(self.logits_NA, self.is_done_NA)
            return loss, loss.new_full((), len(self.logits_NA))
        kept_n = self.is_new_N.nonzero().squeeze(1)
        loss = ranking_loss(self.logits_NA.index_select(0, kept_n), self.is_done_NA[kept_n])
        return loss, loss.new_full((), len(kept_n))


class Ranking(nn.Module):
    """A stack of blocks over the interleaved view, and a logit for each action."""

    def __init__(self, spec: Spec, config: TrainConfig, summed: Summed | None = None) -> None:
        super().__init__()
        self.actions, self.features = len(spec.actions), config.inputs.features
        self.stack = Hstu(config.model, spec.history.tokens, summed)
        self._learned = Graphed(self.stack)
        self.head = RankingHead(config.model.width, self.actions)

    def forward(
        self, batch: SequenceBatch, token_TM: Tensor, embedding: Embedding, seed: int = 0
    ) -> Ranked:
        """Predictions at each Φ of a batch."""
        view = ranking_view(batch, self.features)
        x_FM = embedding(batch, token_TM, view)
        layout = layout_of(batch, view, self.stack.shape.dropout)
        known_FM, balance = self._learned(x_FM, layout, seed)
        at_N = view.has_target_F.nonzero().squeeze(1)
        return Ranked(
            self.head(known_FM.index_select(0, at_N)),
            action_bits(view.target_F[at_N], self.actions),
            view.is_new_F[at_N],
            view.token_F[at_N],
            balance,
        )
