"""Tokens to vectors, against sums in plain loops."""

import pytest
import torch
from torch import Tensor

from model.batch import Category, SequenceBatch
from model.config import Inputs, TrainConfig
from model.embedding import Embedding, hour_of_week
from model.exchange import Exchange
from model.reader.files import SequenceFiles
from model.tables import Lookup, Tables
from model.views import View, ranking_view, retrieval_view
from schemas.sequences import ACTION, CONTENT, FIRST_FEATURE
from tests.model import shop

WIDTH = 6
INPUTS = [
    Inputs(),
    Inputs(hour_of_week=True),
    Inputs(actions=False),
    Inputs(features=False),
    Inputs(categories=False),
]


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> SequenceBatch:
    folder = shop.folder(tmp_path_factory.mktemp("made"), users=3, sessions=2)
    return next(iter(SequenceFiles(folder, shop.SPEC, tokens=10_000)))


def token_vector(embedding: Embedding, batch: SequenceBatch, lookup: Lookup, at: int) -> Tensor:
    """The vector of one token, by its type."""
    kind, number, inputs = int(batch.type_T[at]), int(batch.id_T[at]), embedding.inputs
    vector = embedding.type_M[kind].clone()
    if kind == CONTENT:
        content = int((batch.type_T[:at] == CONTENT).sum())
        vector += lookup.content.vectors_UM[lookup.content.inverse_N[content]]
        if inputs.categories:
            fetched, category = lookup.of_category["topic"]
            ids = fetched.inverse_N[slice(*category.offsets_E1[content : content + 2].tolist())]
            if len(ids):
                vector += fetched.vectors_UM[ids].mean(0)
    elif kind == ACTION:
        for bit in range(2):
            if inputs.actions and number >> bit & 1:
                vector += embedding.action_AM[bit]
    elif inputs.features:
        name = ("country", "likes")[kind - FIRST_FEATURE]
        entry = int((batch.type_T[:at] == kind).sum())
        fetched = lookup.of_feature[name]
        vector += fetched.vectors_UM[fetched.inverse_N[entry]]
        if number < 0:
            vector += embedding.removal_M[kind - FIRST_FEATURE]
    return vector


def expected(embedding: Embedding, batch: SequenceBatch, lookup: Lookup, view: View) -> Tensor:
    vectors = []
    columns = (view.token_F.tolist(), view.action_F.tolist(), view.query_time_F)
    for token, action, time in zip(*columns, strict=True):
        vector = token_vector(embedding, batch, lookup, token)
        if action >= 0:
            vector += token_vector(embedding, batch, lookup, token + 1)
        if embedding.hour_M is not None:
            vector += embedding.hour_M[int(hour_of_week(time))]
        vectors.append(vector)
    return torch.stack(vectors)


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("task", ["ranking", "retrieval"])
def test_it_is_the_sum_of_what_a_token_is_made_of(
    batch: SequenceBatch, inputs: Inputs, task: str
) -> None:
    config = TrainConfig.model_validate({"model": {"width": WIDTH}, "inputs": inputs.model_dump()})
    embedding = Embedding(shop.SPEC, inputs, WIDTH)
    lookup = Tables(shop.SPEC, config, Exchange.alone(), "cpu").fetch(batch, batch.id_T[:0])
    keep = inputs.features
    view = ranking_view(batch, keep) if task == "ranking" else retrieval_view(batch, 2, keep)
    found = embedding(batch, embedding.tokens(batch, lookup), view)
    assert (batch.id_T[batch.type_T == FIRST_FEATURE + 1] < 0).any()
    assert torch.allclose(found, expected(embedding, batch, lookup, view), atol=1e-6)


@pytest.mark.parametrize("inputs", INPUTS)
def test_tokens_by_themselves_are_those_of_a_view(batch: SequenceBatch, inputs: Inputs) -> None:
    config = TrainConfig.model_validate({"model": {"width": WIDTH}, "inputs": inputs.model_dump()})
    embedding = Embedding(shop.SPEC, inputs, WIDTH)
    tables = Tables(shop.SPEC, config, Exchange.alone(), "cpu")
    lookup, view = tables.fetch(batch, batch.id_T[:0]), ranking_view(batch, inputs.features)
    kept = (batch.type_T[view.token_F], batch.id_T[view.token_F], batch.time_T[view.token_F])
    is_content_F = kept[0] == CONTENT
    topics, count_F = batch.categories["topic"], torch.zeros_like(kept[0])
    count_F[is_content_F] = topics.offsets_E1.diff()
    ends_F = count_F.cumsum(0)
    categories = {"topic": Category(topics.ids_N, torch.cat([ends_F.new_zeros(1), ends_F]))}
    found = embedding.of_tokens(*kept, tables, categories)
    right = embedding(batch, embedding.tokens(batch, lookup), view)
    assert torch.allclose(found, right, atol=1e-6)
    assert not torch.allclose(found.roll(1, 0), right, atol=1e-3)


@pytest.mark.parametrize(
    ("time", "hour"),
    [(0, 72), (4 * 86_400_000, 0), (-1, 71), (1_767_225_600_000, 72), (1_767_225_600_000 - 1, 71)],
)
def test_a_week_begins_on_monday(time: int, hour: int) -> None:
    assert int(hour_of_week(torch.tensor(time))) == hour
