"""The retrieval task: after each content, which content comes next.

Legend: T tokens, F positions of a view, N positions with a target, M width, S other contents.
"""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from model.batch import SequenceBatch
from model.config import TrainConfig
from model.embedding import Embedding
from model.experts import Summed
from model.freshness import FreshnessBias
from model.graphed import Graphed
from model.heads import RetrievalHead, directions, sampled_softmax_loss
from model.hstu import Hstu, layout_of
from model.tables import Lookup
from model.views import content_of, retrieval_view
from schemas.spec import Spec


@dataclass(frozen=True)
class Retrieved:
    """What each position with a target asks for: `query_NM`, at `now_N` (ms); the target's id, its
    number among the batch's contents, and whether it is of the session just completed. `balance`
    is the experts' loss, a scalar; `bias` that of the contents, where there is one."""

    query_NM: Tensor
    now_N: Tensor
    target_id_N: Tensor
    content_N: Tensor
    is_new_N: Tensor
    balance: Tensor
    bias: FreshnessBias | None

    def loss(self, lookup: Lookup, new_only: bool) -> tuple[Tensor, Tensor]:
        """The sum over targets that have a vector of their own, and how many these are."""
        kept_N = lookup.known_E[self.content_N]
        if new_only:
            kept_N = kept_N & self.is_new_N
        kept_n = kept_N.nonzero().squeeze(1)
        content_n, now_n = self.content_N[kept_n], self.now_N[kept_n]
        biases: tuple[Tensor, ...] = ()
        if self.bias is not None:
            own, others = lookup.own_freshness.at(content_n), lookup.other_freshness
            biases = (self.bias(now_n, own, each=True), self.bias(now_n, others))
        loss = sampled_softmax_loss(
            self.query_NM.index_select(0, kept_n),
            directions(lookup.own_EM.index_select(0, content_n)),
            directions(lookup.other_SM),
            self.target_id_N[kept_n],
            lookup.other_id_S,
            *biases,
        )
        return loss, loss.new_full((), len(kept_n))


class Retrieval(nn.Module):
    """A stack of blocks over the fused view, and the direction that is asked for."""

    def __init__(self, spec: Spec, config: TrainConfig, summed: Summed | None = None) -> None:
        super().__init__()
        self.positive, self.features = positive_bits(spec), config.inputs.features
        self.stack = Hstu(config.model, spec.history.tokens, summed)
        self._learned = Graphed(self.stack)
        self.head = RetrievalHead(config.model.width, config.retrieval.temperature)
        self.bias = FreshnessBias() if config.retrieval.freshness else None

    def forward(
        self, batch: SequenceBatch, token_TM: Tensor, embedding: Embedding, seed: int = 0
    ) -> Retrieved:
        """Queries at each position of a batch that has a target."""
        view = retrieval_view(batch, self.positive, self.features)
        x_FM = embedding(batch, token_TM, view)
        layout = layout_of(batch, view, self.stack.shape.dropout)
        known_FM, balance = self._learned(x_FM, layout, seed)
        at_N = view.has_target_F.nonzero().squeeze(1)
        return Retrieved(
            self.head(known_FM.index_select(0, at_N)),
            view.query_time_F[at_N],
            view.target_F[at_N],
            content_of(batch, view.token_F[at_N]) + 1,
            view.is_new_F[at_N],
            balance,
            self.bias,
        )

    def ask(
        self, batch: SequenceBatch, lookup: Lookup, embedding: Embedding, now_ms: int
    ) -> Tensor:
        """What the last position of each sequence asks for at a time: queries [B, M]. No sequence
        may be empty."""
        view = retrieval_view(batch, self.positive, self.features)
        last_B = view.offsets_B1[1:] - 1
        view = replace(view, query_time_F=view.query_time_F.index_fill(0, last_B, now_ms))
        x_FM = embedding(batch, embedding.tokens(batch, lookup), view)
        known_FM, _ = self.stack(x_FM, layout_of(batch, view, self.stack.shape.dropout))
        query_BM: Tensor = self.head(known_FM[last_B])
        return query_BM


def positive_bits(spec: Spec) -> int:
    """The bits of the actions that make a content a target of retrieval."""
    return sum(1 << place for place, name in enumerate(spec.actions) if name in spec.positive)
