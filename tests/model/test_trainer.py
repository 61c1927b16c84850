"""Steps of training: what is learned, what is scored before, and what new contents begin with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from model.batch import SequenceBatch
from model.config import TrainConfig
from model.exchange import Exchange
from model.reader.files import SequenceFiles
from model.trainer import Trainer
from schemas.failures import UsageError
from schemas.sequences import CONTENT
from tests.model import shop

SMALL = {"width": 8, "blocks": 1, "heads": 2, "query_width": 4, "value_width": 4}

FAST = {"rate": 1e-2, "table_rate": 3e-2}


def trainer(**settings: Any) -> Trainer:
    config = {"model": SMALL, "retrieval": {"negatives": 20}, **settings}
    return Trainer(shop.SPEC, TrainConfig.model_validate(config), Exchange.alone())


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> list[SequenceBatch]:
    folder = shop.folder(tmp_path_factory.mktemp("made"), users=20, sessions=20)
    return list(SequenceFiles(folder, shop.SPEC, tokens=400))


def figures(made: Trainer, over: str = "window") -> dict[str, float]:
    return {k.removesuffix(f"/over={over}"): v for k, v in made.report().items() if over in k}


BFLOAT16 = {**SMALL, "experts": 3, "precision": "bfloat16"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"model": {**SMALL, "experts": 3}},
        {"model": BFLOAT16},
        {"model": {**SMALL, "window": 3}},
        {"targets": "session"},
    ],
)
def test_it_learns_what_there_is_to_learn(
    batches: list[SequenceBatch], more: dict[str, Any]
) -> None:
    made = trainer(optimizer=FAST, retrieval={"negatives": 30, "temperature": 0.3}, **more)
    for batch in batches[:10]:
        made.learn([batch])
    early = figures(made)
    for _ in range(4):
        for batch in batches:
            made.learn([batch])
    made.report()
    for batch in batches[-10:]:
        made.learn([batch])
    late = figures(made)
    assert late["ranking/ne/action=LIKE"] < 0.5 < early["ranking/ne/action=LIKE"]
    found = "retrieval/hit_rate/k=1/candidates=full"
    assert late[found] > early[found] + 0.2


def test_bfloat16_is_near_float32_and_has_weights_of_it(batches: list[SequenceBatch]) -> None:
    exact, rough = trainer(model={**SMALL, "experts": 3}), trainer(model=BFLOAT16)
    found = []
    for made in (exact, rough):
        for batch in batches[:5]:
            made.learn([batch])
        found.append(figures(made))
    loss = "loss/mean/task=retrieval"
    assert found[0][loss] != found[1][loss]
    assert found[0][loss] == pytest.approx(found[1][loss], rel=1e-2)
    assert {weight.dtype for weight in rough.model.parameters()} == {torch.float32}


def test_a_window_hides_what_is_before_it(batches: list[SequenceBatch]) -> None:
    batch = batches[-1]
    first, end = batch.offsets_B1[-2:].tolist()
    early = torch.arange(first, (first + end) // 2)
    changed = replace(batch, time_T=batch.time_T.index_fill(0, early, 0))
    for window, hides in ((None, False), (2, True)):
        made = trainer(model={**SMALL, "window": window}, inputs={"features": False})
        said = [_last_query(made, each) for each in (batch, changed)]
        assert torch.equal(*said) == hides


def _last_query(made: Trainer, batch: SequenceBatch) -> torch.Tensor:
    """What the last sequence's end asks for, of a model with biases that differ."""
    retrieval = made.model.retrieval
    assert retrieval is not None
    for name, weight in retrieval.stack.named_parameters():
        if name.endswith("time_HC"):
            torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(1))
    lookup = made.tables.fetch(batch, torch.tensor([], dtype=torch.int64))
    with torch.no_grad():
        return retrieval.ask(batch, lookup, made.model.embedding, made.tables.now_ms)[-1]


def test_a_step_is_scored_before_it_is_learned(batches: list[SequenceBatch]) -> None:
    still, moving = (trainer(optimizer={"rate": rate, "table_rate": rate}) for rate in (1e-9, 0.5))
    found = []
    for made in (still, moving):
        made.learn([batches[0]])
        found.append(figures(made))
    assert found[0] == found[1]
    assert found[0]["retrieval/coverage/candidates=full"] == 0
    for made in (still, moving):
        made.learn([batches[0]])
        found.append(figures(made))
    assert found[2] != found[3]
    assert found[2]["retrieval/coverage/candidates=full"] == 1


@pytest.mark.parametrize("targets", ["all", "session"])
def test_the_loss_is_the_mean_over_targets(batches: list[SequenceBatch], targets: str) -> None:
    still = {"rate": 1e-9, "table_rate": 1e-9}
    made = trainer(optimizer=still, targets=targets, tasks=["ranking"])
    batch = batches[0]
    lookup = made.tables.fetch(batch, batch.id_T[:0])
    ranking = made.model.ranking
    assert ranking is not None
    embedding = made.model.embedding
    ranked = ranking(batch, embedding.tokens(batch, lookup), embedding)
    kept = ... if targets == "all" else ranked.new_n
    losses = binary_cross_entropy_with_logits(
        ranked.logits_NA[kept], ranked.is_done_NA[kept].float()
    )
    (expected,) = torch.autograd.grad(losses, ranking.head.logits.bias)
    made.learn([batch])
    assert ranking.head.logits.bias.grad is not None
    assert torch.allclose(ranking.head.logits.bias.grad, expected, rtol=1e-4)
    assert figures(made)["loss/mean/task=ranking"] == pytest.approx(losses.item(), rel=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_what_is_learned_again_is_neither_scored_nor_counted_nor_sighted(
    batches: list[SequenceBatch], dropout: float
) -> None:
    model = {**SMALL, "dropout": dropout}
    once, often = (
        trainer(model=model, vocabulary={"admit_after": 3}, optimizer=FAST) for _ in range(2)
    )
    once.learn([batches[0]])
    often.learn([batches[0]], [[batches[0]], []] + 3 * [[batches[0]]])
    assert figures(once) == figures(often)
    assert (once.step, once.tokens, once.sequences) == (often.step, often.tokens, often.sequences)
    for one, other in zip(_sightings(once), _sightings(often), strict=True):
        assert torch.equal(one, other)
    for made in (once, often):
        made.learn([batches[0]])
    little, much = figures(once), figures(often)
    for name in ("loss/mean/task=ranking", "loss/mean/task=retrieval"):
        assert much[name] < little[name] - 0.01


def _sightings(made: Trainer) -> list[torch.Tensor]:
    """What the catalogue and the table of contents keep of how often and when ids came."""
    table = made.tables.content.state()
    kept = [table[name] for name in ("ids", "first_seen", "last_seen", "cells", "counts")]
    return [*kept, *made.tables.catalogue.state().values()]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [1.0, 1.0, 1.0]),
        ({"warmup_steps": 2}, [0.5, 1.0, 1.0]),
        ({"decay_steps": 1}, [1.0, 2**-0.5, 3**-0.5]),
        ({"warmup_steps": 2, "decay_steps": 4}, [0.5, 1.25**-0.5, 1.5**-0.5]),
    ],
)
def test_rates_rise_and_fall_with_the_steps(
    batches: list[SequenceBatch],
    more: dict[str, int],
    expected: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = trainer(optimizer={"rate": 0.02, "table_rate": 0.03, **more})
    rates: list[float] = []
    monkeypatch.setattr(made.tables, "learn", lambda _, rate: rates.append(rate))
    for batch, factor in zip(batches[:3], expected, strict=True):
        made.learn([batch], [[batch]])
        found = [group["lr"] for group in made.optimizer.param_groups]
        assert found == pytest.approx([0.02 * factor, 0.03 * factor])
    assert rates == pytest.approx([0.03 * factor for factor in expected for _ in range(2)])


def test_a_step_without_sequences_changes_nothing_but_its_number() -> None:
    made = trainer()
    before = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    made.learn([SequenceBatch.empty(shop.SPEC.categories)])
    assert (made.step, made.tokens) == (1, 0)
    for name, tensor in made.model.state_dict().items():
        assert torch.equal(before[name], tensor), name


def test_a_new_content_begins_as_the_mean_of_its_categories(batches: list[SequenceBatch]) -> None:
    made = trainer()
    batch = batches[0]
    lookup = made.tables.fetch(batch, batch.id_T[:0])
    ids_E = batch.id_T[batch.type_T == CONTENT]
    fetched, category = lookup.of_category["topic"]
    vectors_UM, offsets = fetched.vectors_UM.detach(), category.offsets_E1.tolist()
    begun = 0
    for place in range(len(ids_E)):
        ids = fetched.inverse_N[offsets[place] : offsets[place + 1]]
        if len(ids):
            begun += 1
            assert torch.allclose(lookup.own_EM[place], vectors_UM[ids].mean(0), atol=1e-6)
    assert 0 < begun < len(ids_E)


def test_dropout_does_not_touch_what_is_scored(batches: list[SequenceBatch]) -> None:
    plain, dropping = trainer(), trainer(model={**SMALL, "dropout": 0.5})
    for made in (plain, dropping):
        made.learn([batches[0]])
    found, expected = figures(dropping), figures(plain)
    scored = [name for name in expected if not name.startswith("loss/")]
    assert {name: found[name] for name in scored} == {name: expected[name] for name in scored}
    assert found["loss/mean/task=ranking"] != expected["loss/mean/task=ranking"]


def test_a_spec_without_positive_actions_has_a_ranking_to_learn() -> None:
    spec = shop.SPEC.model_copy(update={"positive": ()})
    config = TrainConfig.model_validate({"model": SMALL})
    assert [*Trainer(spec, config, Exchange.alone()).scores] == ["ranking"]
    asked = TrainConfig.model_validate({"model": SMALL, "tasks": ["retrieval"]})
    with pytest.raises(UsageError, match="has no positive actions, which retrieval learns from"):
        Trainer(spec, asked, Exchange.alone())


def test_other_contents_may_be_those_of_the_batch(batches: list[SequenceBatch]) -> None:
    made = trainer(retrieval={"negatives": 5, "source": "batch"})
    for batch in batches[:3]:
        made.learn([batch])
    assert figures(made)["loss/mean/task=retrieval"] > 0


@pytest.fixture
def learned(batches: list[SequenceBatch]) -> Trainer:
    made = trainer(optimizer=FAST)
    for batch in batches:
        made.learn([batch])
    return made


def test_what_is_recommended_is_the_best_there_is(
    learned: Trainer, batches: list[SequenceBatch], tmp_path: Path
) -> None:
    from model.candidates import Asking
    from model.recommending import recommended

    folder = shop.folder(tmp_path, users=1, sessions=1)
    (history,) = SequenceFiles(folder, shop.SPEC, tokens=1)
    now = int(history.session_end_B[0]) + 5_000
    model, tables = learned.model, learned.tables
    found = recommended(shop.SPEC, model, tables, history, now_ms=now, length=1, width=4)
    assert model.retrieval is not None
    lookup = tables.fetch(history, history.id_T[:0], sighted=False)
    query = model.retrieval.ask(history, lookup, model.embedding, now)
    candidates = tables.candidates(None, history.id_T[:0])
    scores = Asking(query, torch.tensor([now]), model.retrieval.bias).scores(candidates, 0, 10**6)
    best = scores.log_softmax(1).squeeze(0).topk(4)
    assert [one.contents for one in found] == [(n,) for n in candidates.id_R[best.indices].tolist()]
    assert [one.log_probability for one in found] == pytest.approx(best.values.tolist(), rel=1e-5)
    longer = recommended(shop.SPEC, model, tables, history, now_ms=now, length=3, width=4)
    assert all(len(set(one.contents)) == 3 for one in longer)
