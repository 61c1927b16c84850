"""Candidates scored by the ranking task: M-FALCON with keys and values kept between requests.

Zhai et al., "Actions Speak Louder than Words", ICML 2024, section 3.4 and appendix H: many
candidates share one history and do not see each other. So the history is computed once, and of one
that has grown only what is new; candidates go through in microbatches.

Legend: Q candidates of a request, A actions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor

from model.recommender import Recommender
from model.scoring.cache import KeyCache
from model.scoring.history import Request, without_features
from model.scoring.packing import microbatches
from model.scoring.running import Running
from model.scoring.stack import CachedStack
from model.scoring.whole import whole_logits
from model.tables import Tables
from schemas.failures import UsageError
from schemas.spec import Spec


@dataclass(frozen=True)
class Serving:
    """How candidates are scored: so many at a time, of so many users; so many bytes of keys and
    values are kept; in bfloat16, where a GPU is fast, or as it was trained; with CUDA graphs, where
    there is a GPU."""

    microbatch: int = 4_096
    users: int = 64
    cache_bytes: int = 1 << 30
    bfloat16: bool = False
    graphs: bool = True


class Scorer:
    """Scores of a model with a ranking task, on the device that it is on. For one thread.

    Kept keys and values serve as long as weights and tables are those that they were computed with,
    and for tokens that stand behind the same tokens as then; all else is computed anew. A model
    with softmax attention is asked without a cache. Raises UsageError for a model without a ranking
    task, and for a cache that does not hold the longest history.
    """

    def __init__(
        self, spec: Spec, model: Recommender, tables: Tables, serving: Serving | None = None
    ) -> None:
        if model.ranking is None:
            raise UsageError("scoring needs the task ranking, which this model has not learned")
        self.spec, self.serving = spec, serving or Serving()
        self._model, self._tables, self._ranking = model.eval(), tables, model.ranking
        self._weights = list(model.parameters())
        self._mark: tuple[int, ...] = ()
        weight = model.ranking.head.logits.weight.detach()
        self._nothing = weight.new_zeros(0, len(weight))
        stack = model.ranking.stack
        self._kind = torch.bfloat16 if self.serving.bfloat16 else stack.precision
        self.cache: KeyCache | None = None
        if stack.shape.attention == "pointwise":
            most = self.serving.cache_bytes
            longest, device = spec.history.tokens, weight.device
            self.cache = KeyCache(stack.shape, longest, most, self._kind, device)

    def score(self, requests: Sequence[Request]) -> list[Tensor]:
        """Of each request the probability of each action on each candidate: float32 [Q, A], on the
        CPU, with the actions in the order of the spec. Raises ValueError for what is no request."""
        scores_QA = self._logits(requests).sigmoid().float().cpu()
        return list(scores_QA.split(list(map(len, requests))))

    def logits(self, requests: Sequence[Request]) -> list[Tensor]:
        """The same as logits, on the model's device and in its type."""
        return list(self._logits(requests).split(list(map(len, requests))))

    def figures(self) -> dict[str, float]:
        """What the cache holds and how it served, since the beginning."""
        return {} if self.cache is None else self.cache.figures()

    def _logits(self, requests: Sequence[Request]) -> Tensor:
        """Of all requests, one after the other."""
        for request in requests:
            request.check(self.spec.history.tokens)
        if self.cache is None:
            return torch.cat([self._nothing, *self._without_cache(requests)])
        running = self._running_now(self.cache)
        groups = self._groups(map(self._shown, requests), self.cache)
        found = (running.logits(group, self.serving.microbatch) for group in groups)
        return torch.cat([self._nothing, *chain.from_iterable(found)])

    def _running_now(self, cache: KeyCache) -> Running:
        """The model as it is; lets go of what was computed with other weights."""
        weights = ((each.data_ptr(), each._version) for each in self._weights)
        mark = (self._tables.changes, *chain.from_iterable(weights))
        if mark != self._mark:
            cache.forget()
            stack = CachedStack(self._ranking, self._kind)
            can_be = self._nothing.is_cuda and not stack.has_experts
            parts = (self._model, self._tables, stack, cache, self.serving.users)
            self._running = Running(*parts, graphs=self.serving.graphs and can_be)
            self._mark = mark
        return self._running

    def _shown(self, request: Request) -> Request:
        """A request with what the model is shown of its history."""
        if self._ranking.features:
            return request
        return replace(request, history=without_features(request.history))

    def _groups(self, requests: Iterator[Request], cache: KeyCache) -> Iterator[list[Request]]:
        """Requests in order, together as long as each is of another user and their histories have
        room together."""
        group: dict[str, Request] = {}
        pages = 0
        for request in requests:
            more = cache.pages_of(request.history)
            full = len(group) == self.serving.users or pages + more > cache.pages
            if full or request.user in group:
                yield list(group.values())
                group, pages = {}, 0
            group[request.user] = request
            pages += more
        if group:
            yield list(group.values())

    def _without_cache(self, requests: Sequence[Request]) -> Iterator[Tensor]:
        """The logits of requests, with whose every microbatch the history is computed."""
        for request in requests:
            for (part,) in microbatches([request], self.serving.microbatch):
                piece = [request.part(part.start, part.stop)]
                yield from whole_logits(self._model, self._tables, piece, self._kind)
