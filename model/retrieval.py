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
from model.hstu import Hstu, Positions, layout_of
from model.tables import Lookup
from model.views import content_of, retrieval_view
from schemas.spec import Spec


@dataclass(frozen=True)
class Retrieved:
    """What each position with a target asks for: `query_NM`, at `now_N` (ms); the target's id, its
    number among the batch's contents, and which are of the session just completed. `balance` is
    the experts' loss, a scalar; `bias` that of the contents, where there is one."""

    query_NM: Tensor
    now_N: Tensor
    target_id_N: Tensor
    content_N: Tensor
    new_n: Tensor
    balance: Tensor
    bias: FreshnessBias | None

    def loss(self, lookup: Lookup, new_only: bool) -> tuple[Tensor, Tensor]:
        """The sum over targets that have a vector of their own, and how many these are."""
        kept = self._at(self.new_n) if new_only else self
        if not lookup.content.all_known:
            kept = kept._at(lookup.known_E[kept.content_N].nonzero().squeeze(1))
        content_n, now_n = kept.content_N, kept.now_N
        biases: tuple[Tensor, ...] = ()
        if self.bias is not None:
            own, others = lookup.own_freshness.at(content_n), lookup.other_freshness
            biases = (self.bias(now_n, own, each=True), self.bias(now_n, others))
        loss = sampled_softmax_loss(
            kept.query_NM,
            directions(lookup.own_EM.index_select(0, content_n)),
            directions(lookup.other_SM),
            kept.target_id_N,
            lookup.other_id_S,
            *biases,
        )
        return loss, loss.new_full((), len(content_n))

    def _at(self, place_n: Tensor) -> "Retrieved":
        """Some of the targets, of which it is not said which are new."""
        return replace(
            self,
            query_NM=self.query_NM.index_select(0, place_n),
            now_N=self.now_N[place_n],
            target_id_N=self.target_id_N[place_n],
            content_N=self.content_N[place_n],
            new_n=place_n[:0],
        )


class Retrieval(nn.Module):
    """A stack of blocks over the fused view, and the direction that is asked for."""

    def __init__(self, spec: Spec, config: TrainConfig, summed: Summed | None = None) -> None:
        super().__init__()
        self.positive, self.features = positive_bits(spec), config.inputs.features
        self.stack = Hstu(config.model, spec.history.tokens, summed)
        self._learned = Graphed(self.stack)
        self.head = RetrievalHead(config.model.width, config.retrieval.temperature)
        self.bias = FreshnessBias() if config.retrieval.freshness else None

    def positions(self, batch: SequenceBatch) -> Positions:
        """What is asked of a batch."""
        view = retrieval_view(batch, self.positive, self.features)
        return Positions.of(batch, view, self.stack.shape.dropout)

    def forward(
        self,
        batch: SequenceBatch,
        token_TM: Tensor,
        embedding: Embedding,
        seed: int = 0,
        positions: Positions | None = None,
    ) -> Retrieved:
        """Queries at each position of a batch that has a target, with the vectors of its tokens;
        positions may be given, where they are known."""
        positions = positions or self.positions(batch)
        view, at_N = positions.view, positions.at_N
        x_FM = embedding(batch, token_TM, view)
        known_FM, balance = self._learned(x_FM, positions.layout, seed)
        return Retrieved(
            self.head(known_FM.index_select(0, at_N)),
            view.query_time_F[at_N],
            view.target_F[at_N],
            content_of(batch, view.token_F[at_N]) + 1,
            positions.new_n,
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
