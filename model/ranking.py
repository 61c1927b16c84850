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
from model.hstu import Hstu, Positions
from model.tables import Lookup
from model.views import ranking_view
from schemas.spec import Spec


@dataclass(frozen=True)
class Ranked:
    """What was predicted at each Φ, what was done there, and which are of the session just
    completed. `token_N` is the Φ in the batch; `balance` the experts' loss, a scalar."""

    logits_NA: Tensor
    is_done_NA: Tensor
    new_n: Tensor
    token_N: Tensor
    balance: Tensor

    def loss(self, lookup: Lookup, new_only: bool) -> tuple[Tensor, Tensor]:
        """The sum over targets, and how many these are: two scalars."""
        if not new_only:
            loss = ranking_loss(self.logits_NA, self.is_done_NA)
            return loss, loss.new_full((), len(self.logits_NA))
        new_n = self.new_n
        loss = ranking_loss(self.logits_NA.index_select(0, new_n), self.is_done_NA[new_n])
        return loss, loss.new_full((), len(new_n))


class Ranking(nn.Module):
    """A stack of blocks over the interleaved view, and a logit for each action."""

    def __init__(self, spec: Spec, config: TrainConfig, summed: Summed | None = None) -> None:
        super().__init__()
        self.actions, self.features = len(spec.actions), config.inputs.features
        self.stack = Hstu(config.model, spec.history.tokens, summed)
        self._learned = Graphed(self.stack)
        self.head = RankingHead(config.model.width, self.actions)

    def positions(self, batch: SequenceBatch) -> Positions:
        """What is asked of a batch."""
        view = ranking_view(batch, self.features)
        return Positions.of(batch, view, self.stack.shape.dropout)

    def forward(
        self,
        batch: SequenceBatch,
        token_TM: Tensor,
        embedding: Embedding,
        seed: int = 0,
        positions: Positions | None = None,
    ) -> Ranked:
        """Predictions at each Φ of a batch, with the vectors of its tokens; positions may
        be given, where they are known."""
        positions = positions or self.positions(batch)
        view, at_N = positions.view, positions.at_N
        x_FM = embedding(batch, token_TM, view)
        known_FM, balance = self._learned(x_FM, positions.layout, seed)
        return Ranked(
            self.head(known_FM.index_select(0, at_N)),
            action_bits(view.target_F[at_N], self.actions),
            positions.new_n,
            view.token_F[at_N],
            balance,
        )
