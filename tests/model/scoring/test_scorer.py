"""Scores with a cache are those of each candidate alone, whatever was asked before."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.batch import Category
from model.scoring import rows
from model.scoring.history import Request, part_of
from model.scoring.scorer import Scorer, Serving
from model.scoring.whole import whole_logits
from model.trainer import Trainer
from schemas.failures import UsageError
from tests.kernels.precision import relative_error
from tests.model import shop
from tests.model.scoring.asking import (
    AsGraphs,
    alone,
    history,
    in_float64,
    learn,
    nothing,
    request,
    scorer,
    trained,
)

MANY = [
    request("a", history(9)),
    request("b", history(1, 2), 3, 1),
    request("c", nothing(), 4, 2),
    request("d", history(40), 20, 3),
    request("e", history(3), 0, 4),
]


def errors(trainer: Trainer, found: Sequence[Tensor], asked: Sequence[Request]) -> float:
    """The largest relative error, against the model that is asked for each candidate alone."""
    right = [alone(trainer.model, trainer.tables, each) for each in asked if len(each)]
    scored = [each for each in found if len(each)]
    return max(relative_error(one, other) for one, other in zip(scored, right, strict=True))


@pytest.fixture(scope="module")
def small() -> Trainer:
    return trained()


@pytest.fixture(params=["few", "many", "few, as graphs", "many, as graphs"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """New tokens find one another in the cache, or are so many that they do not; and passes have
    the sizes that graphs have."""
    if request.param.startswith("many"):
        monkeypatch.setattr(rows, "FEW", 0)
    if request.param.endswith("graphs"):
        AsGraphs.instead(monkeypatch)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("microbatch", [1, 5, 1000])
def test_in_float64_they_are_the_models_own(microbatch: int) -> None:
    trainer = in_float64(trained())
    found = scorer(trainer, microbatch=microbatch).logits(MANY)
    assert [len(each) for each in found] == [7, 3, 4, 20, 0]
    assert errors(trainer, found, MANY) < 1e-12


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"inputs": {"features": False}},
        {"inputs": {"categories": False, "hour_of_week": True}},
        {"model": {"width": 8, "blocks": 1, "time_bias": False}},
        {"model": {"width": 8, "experts": 4, "position_bias": False}},
        {"model": {"width": 8, "attention": "softmax"}},
        {"model": {"width": 8, "window": 5}},
        {"vocabulary": {"kind": "hashed", "buckets": 16}},
    ],
)
def test_every_kind_of_model_is_scored_as_it_is(more: dict[str, Any]) -> None:
    trainer = trained(**more)
    made = scorer(trainer)
    for _ in range(2):
        assert errors(trainer, made.logits(MANY), MANY) < 1e-5


def test_scores_are_probabilities_in_the_order_of_the_spec(small: Trainer) -> None:
    found = scorer(small).score(MANY)
    right = alone(small.model, small.tables, MANY[0]).sigmoid()
    torch.testing.assert_close(found[0], right, rtol=1e-5, atol=1e-6)
    assert found[0].dtype == torch.float32


def test_bfloat16_is_near(small: Trainer) -> None:
    made = scorer(small, bfloat16=True)
    for _ in range(2):
        assert 1e-5 < errors(small, made.logits(MANY), MANY) < 0.05


def test_what_is_wrong_would_be_seen(small: Trainer) -> None:
    asked = MANY[3]
    right = alone(small.model, small.tables, asked)
    sooner = replace(asked, now_ms=shop.BEGIN + 50_000)
    shorter = replace(asked, history=part_of(asked.history, 0, asked.history.tokens - 1))
    other = replace(asked, categories={})
    for wrong in (sooner, shorter, other):
        (found,) = scorer(small).logits([wrong])
        assert relative_error(found, right) > 1e-3


def test_candidates_do_not_see_each_other(small: Trainer) -> None:
    asked = MANY[3]
    (together,) = scorer(small, microbatch=1000).logits([asked])
    (some,) = scorer(small, microbatch=1000).logits([asked.part(4, 9)])
    assert relative_error(some, together[4:9]) < 1e-6


@pytest.mark.usefixtures("how")
def test_only_what_is_new_of_a_history_is_computed(small: Trainer) -> None:
    made, whole = scorer(small), history(40)
    for length in (20, 21, 50, whole.tokens, whole.tokens):
        asked = [request("d", part_of(whole, 0, length))]
        assert errors(small, made.logits(asked), asked) < 1e-5
    found = made.figures()
    assert found["tokens_new"] == whole.tokens
    assert (found["hits"], found["misses"], found["outdated"]) == (4, 1, 0)


def test_a_history_without_candidates_is_computed_too(small: Trainer) -> None:
    made, asked = scorer(small), request("e", history(3), 0)
    assert made.logits([asked])[0].shape == (0, len(shop.SPEC.actions))
    assert (
        errors(small, made.logits([request("e", asked.history)]), [request("e", asked.history)])
        < 1e-5
    )
    assert made.figures()["tokens_new"] == made.figures()["tokens_kept"] == asked.history.tokens


@pytest.mark.usefixtures("how")
def test_a_history_that_has_lost_its_head_is_computed_anew(small: Trainer) -> None:
    made, whole = scorer(small), history(40)
    moved = part_of(whole, 2, whole.tokens)
    for each in (whole, moved):
        asked = [request("d", each)]
        assert errors(small, made.logits(asked), asked) < 1e-5
    assert made.figures()["outdated"] == 1
    assert made.figures()["tokens_kept"] == 0


@pytest.mark.parametrize("column", ["type_T", "id_T", "time_T"])
def test_another_token_ends_what_can_be_used(small: Trainer, column: str) -> None:
    made, whole = scorer(small), history(20)
    changed = getattr(whole, column).clone()
    changed[10] = 3 if column == "type_T" else changed[10] + 1
    for each in (whole, replace(whole, **{column: changed})):
        asked = [request("d", each)]
        made.logits(asked)
    assert made.figures()["tokens_kept"] == 10


def test_other_categories_of_a_content_end_what_can_be_used(small: Trainer) -> None:
    made, whole = scorer(small), history(20)
    topics = whole.categories["topic"]
    other = Category(topics.ids_N.clone(), topics.offsets_E1)
    other.ids_N[-1] += 1
    for each in (whole, replace(whole, categories={"topic": other})):
        asked = [request("d", each)]
        assert errors(small, made.logits(asked), asked) < 1e-5
    assert 0 < made.figures()["tokens_kept"] < whole.tokens


def test_other_weights_and_other_tables_end_what_can_be_used() -> None:
    trainer = trained()
    made, asked = scorer(trainer), [request("d", history(20))]
    before = made.logits(asked)[0]
    learn(trainer)
    assert errors(trainer, made.logits(asked), asked) < 1e-5
    assert relative_error(before, made.logits(asked)[0]) > 1e-3
    assert made.figures()["outdated"] == 1
    states = trainer.tables.content.state()
    trainer.tables.content.load([{**states, "vectors": 2 * states["vectors"]}])
    assert errors(trainer, made.logits(asked), asked) < 1e-5
    assert made.figures()["outdated"] == 2


def test_a_cache_that_is_full_lets_go_of_whom_it_heard_of_longest_ago(small: Trainer) -> None:
    each = scorer(small).cache
    assert each is not None
    made = scorer(small, cache_bytes=each.page_bytes * (1 + each.most_pages))
    assert made.cache is not None
    users = [str(number) for number in range(made.cache.pages)]
    ask = {user: [request(user, history(9))] for user in [*users, "one more"]}
    for user in [*users, users[0], "one more", users[0], users[1]]:
        assert errors(small, made.logits(ask[user]), ask[user]) < 1e-5
    found = made.figures()
    assert (found["hits"], found["evicted"]) == (2, 2)
    assert found["bytes_used"] <= found["bytes"] <= each.page_bytes * (1 + each.most_pages)


@pytest.mark.usefixtures("how")
def test_many_at_once_share_a_cache_for_a_few(small: Trainer) -> None:
    each = scorer(small).cache
    assert each is not None
    made = scorer(small, cache_bytes=each.page_bytes * (1 + each.most_pages), users=3)
    asked = [request(f"{n % 7}", history(1 + 9 * (n % 5), n % 7), 1 + n % 4, n) for n in range(20)]
    assert errors(small, made.logits(asked), asked) < 1e-5


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_came_before(data: st.DataObject) -> None:
    trainer = _kept()
    each = scorer(trainer).cache
    assert each is not None
    made = scorer(trainer, cache_bytes=each.page_bytes * (1 + each.most_pages), users=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "FEW", data.draw(st.sampled_from([0, 20, 1000])))
        if data.draw(st.booleans()):
            AsGraphs.instead(patch)
        for _ in range(data.draw(st.integers(1, 6))):
            asked = [_drawn(data, number) for number in range(data.draw(st.integers(1, 4)))]
            assert errors(trainer, made.logits(asked), asked) < 1e-5


_kept = cache(trained)


def _drawn(data: st.DataObject, seed: int) -> Request:
    """A part of one of two histories, for one of three users."""
    whole = history(data.draw(st.sampled_from([20, 60])), data.draw(st.integers(0, 1)))
    start = data.draw(st.sampled_from([0, 0, 0, 2]))
    stop = data.draw(st.integers(start, whole.tokens))
    user, candidates = data.draw(st.sampled_from("abc")), data.draw(st.integers(1, 8))
    return request(user, part_of(whole, start, stop), candidates, seed)


def test_the_whole_at_once_is_the_same(small: Trainer) -> None:
    asked = [each for each in MANY if len(each)]
    found = whole_logits(small.model, small.tables, asked, torch.float32)
    assert errors(small, found, asked) < 1e-5


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"history": history(64)}, "at most"),
        ({"categories": {"topic": Category(torch.zeros(0), torch.zeros(2))}}, "of 1 candidates"),
    ],
)
def test_what_is_no_request_is_refused(small: Trainer, wrong: dict[str, Any], said: str) -> None:
    short = Scorer(
        shop.SPEC.model_copy(
            update={"history": shop.SPEC.history.model_copy(update={"tokens": 99})}
        ),
        small.model,
        small.tables,
        Serving(cache_bytes=1 << 20),
    )
    with pytest.raises(ValueError, match=said):
        short.logits([replace(MANY[0], **wrong)])


def test_a_cache_that_is_too_small_is_refused(small: Trainer) -> None:
    with pytest.raises(UsageError, match="it needs"):
        scorer(small, cache_bytes=1000)


def test_a_model_without_ranking_is_refused() -> None:
    with pytest.raises(UsageError, match="ranking"):
        scorer(trained(tasks=["retrieval"]))
