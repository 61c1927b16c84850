"""What to show next: the contents that the retrieval task finds most probable after a history.

Legend: N prefixes, L contents of each so far, R contents of the catalogue, M width.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.batch import Category, SequenceBatch
from model.beam import beam_search
from model.candidates import Asking
from model.recommender import Recommender
from model.retrieval import positive_bits
from model.tables import Tables
from schemas.failures import UsageError
from schemas.sequences import ACTION, CONTENT
from schemas.spec import Spec


@dataclass(frozen=True)
class Recommended:
    """The next contents in order, by id, and the log of their probability together."""

    contents: tuple[int, ...]
    log_probability: float


def recommended(
    spec: Spec,
    model: Recommender,
    tables: Tables,
    history: SequenceBatch,
    *,
    now_ms: int,
    length: int = 1,
    width: int = 10,
) -> list[Recommended]:
    """The most probable `length` contents to follow one user's history, by beam search.

    Each content that is added is taken to have been wanted: all positive actions follow it. Its
    categories are not known to the catalogue and are left out. One process only. Raises UsageError
    for a model without retrieval, and ValueError for more than one history.
    """
    if model.retrieval is None:
        raise UsageError("recommending needs the task retrieval, which this model has not learned")
    if history.sequences != 1:
        raise ValueError(f"{history.sequences} histories; must be one")
    retrieval = model.retrieval
    candidates = tables.candidates(None, history.id_T[:0])
    contents = len(candidates.id_R)

    @torch.no_grad()
    def scorer(row_NL: Tensor) -> Tensor:
        longer = _followed(history, candidates.id_R[row_NL], positive_bits(spec), now_ms)
        lookup = tables.fetch(longer, history.id_T[:0], sighted=False)
        query_NM = retrieval.ask(longer, lookup, model.embedding, now_ms)
        asking = Asking(query_NM, torch.full_like(row_NL[:, :0].sum(1), now_ms), retrieval.bias)
        return torch.log_softmax(asking.scores(candidates, 0, contents), 1)

    model.eval()
    beam = beam_search(scorer, length, width)
    return [
        Recommended(tuple(candidates.id_R[row_L].tolist()), float(log_probability))
        for row_L, log_probability in zip(beam.row_KL, beam.log_probability_K, strict=True)
    ]


def _followed(
    history: SequenceBatch, content_NL: Tensor, positive: int, now_ms: int
) -> SequenceBatch:
    """The history N times, each followed by contents that were wanted at `now_ms`."""
    copies, more = content_NL.shape
    added = torch.tensor([CONTENT, ACTION]).repeat(copies, more).to(content_NL.device)
    wanted = torch.full_like(content_NL, positive)
    pairs = torch.stack([content_NL, wanted], 2).view(copies, 2 * more)
    length = history.tokens + 2 * more
    names = tuple(str(number) for number in range(copies))
    return replace(
        history,
        offsets_B1=torch.arange(copies + 1, device=content_NL.device) * length,
        type_T=_each(history.type_T, added),
        id_T=_each(history.id_T, pairs),
        time_T=_each(history.time_T, torch.full_like(pairs, now_ms)),
        new_contents_B=history.new_contents_B.new_ones(copies),
        categories={
            name: _categories_of(category, copies, more)
            for name, category in history.categories.items()
        },
        users=names,
        sequence_ids=names,
        session_end_B=history.session_end_B.repeat(copies),
        progress=None,
    )


def _each(own_T: Tensor, added_NL: Tensor) -> Tensor:
    """Every row of what is added behind a copy of what is there, end to end."""
    return torch.cat([own_T.expand(len(added_NL), -1), added_NL], 1).flatten()


def _categories_of(category: Category, copies: int, more: int) -> Category:
    """Of each copy the categories of its contents, and none of those that were added."""
    counts_E = category.offsets_E1.diff()
    counts = torch.cat([counts_E, counts_E.new_zeros(more)]).repeat(copies)
    return Category(
        category.ids_N.repeat(copies), torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    )
