"""The known rule: its truth is recomputed from what a model sees, one engagement at a time."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.click_rule import SPEC, hindsight, written
from benchmarks.clicks.best import best_figures, log_loss, normalized_entropy, targets
from benchmarks.clicks.rule import (
    AWAY,
    COUNTRIES,
    MOVES,
    TOPICS,
    Seen,
    World,
    click_logit,
    next_content,
    world,
)
from benchmarks.clicks.walk import Walk, walked
from tests.benchmarks.platform import CLICK, WALK, Made, new_contents
from tests.outcome import Row


@pytest.fixture(scope="module")
def truth() -> pl.DataFrame:
    return walked(WALK)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def next_weights(of: World, history: list[Row], time: int) -> list[float]:
    """The probability of each item to come next, from the history and the time alone."""
    last = history[-1]
    pause = 0 if time - last["time"] <= 60_000 else 1 if time - last["time"] <= 1_200_000 else 2
    clicked = last["actions"] & CLICK
    thread = [[0.20, 0.75], [0.10, 0.20], [0.05, 0.05]][pause][clicked]
    topic = [[0.15, 0.10], [0.15, 0.65], [0.05, 0.05]][pause][clicked]
    weights = []
    for item in range(len(of.topic_I)):
        favoured = of.favours_GC[last["country"] - 1][of.topic_I[item]]
        share = (1 - thread - topic) * ((0.85 / 3 if favoured else 0.0) + 0.15 / TOPICS)
        share += topic * (of.topic_I[item] + 1 == last["topic"])
        weight = share * of.share_I[item]
        for follower, often in zip(of.follower_IW[last["item"] - 1], (0.5, 0.3, 0.2), strict=True):
            weight += thread * often * (item == follower)
        weights.append(weight)
    return weights


def click_odds(of: World, history: list[Row], time: int, item: int) -> float:
    """The log-odds of a click, but for the favour of the topic."""
    odds = -0.3 + float(of.quality_I[item])
    if history and item in of.follower_IW[history[-1]["item"] - 1]:
        odds += 0.9
    seen, until = 0, time
    for before in reversed(history):
        if until - before["time"] > 1_800_000:
            break
        if until == time:
            odds += 1.0 if before["actions"] & CLICK else -1.0
        seen, until = seen + (before["topic"] == of.topic_I[item] + 1), before["time"]
    return odds - 0.8 * min(seen, 4)


def clicked_weights(of: World, history: list[Row], time: int) -> list[float]:
    """The weight of each item to come next and be clicked, the country after it unknown."""
    away = time - history[-1]["time"] > 1_800_000
    weights = []
    for item, weight in enumerate(next_weights(of, history, time)):
        odds, click = click_odds(of, history, time, item), 0.0
        for country in range(COUNTRIES):
            moves = MOVES if away else 0.0
            stays = country == history[-1]["country"] - 1
            chance = 1 - moves if stays else moves / (COUNTRIES - 1)
            favoured = of.favours_GC[country][of.topic_I[item]]
            click += chance * sigmoid(odds + (1.6 if favoured else -1.0))
        weights.append(weight * click)
    return weights


def test_the_truth_is_what_the_visible_history_says(truth: pl.DataFrame) -> None:
    """Item, country, actions and times before it are enough to compute it."""
    of = world(WALK.items, np.random.default_rng(WALK.seed))
    for user in ("0", "7", "39"):
        history: list[Row] = []
        for row in truth.filter(pl.col("user") == user).to_dicts()[:40]:
            item, time = row["item"] - 1, row["time"]
            favoured = of.favours_GC[row["country"] - 1][of.topic_I[item]]
            step = 1.6 if favoured else -1.0
            click = sigmoid(click_odds(of, history, time, item) + step)
            assert row["click"] == pytest.approx(click)
            like = click * sigmoid(-0.6 + step + of.quality_I[item])
            assert row["like"] == pytest.approx(like)
            if history:
                weights = clicked_weights(of, history, time)
                share = math.log(weights[item] / sum(weights))
                assert row["log_probability"] == pytest.approx(share)
                assert row["rank"] == 1 + sum(weight > weights[item] for weight in weights)
            else:
                assert row["rank"] is None
                assert row["log_probability"] is None
            history.append(row)


def test_what_comes_next_adds_up_to_one(truth: pl.DataFrame) -> None:
    of = world(WALK.items, np.random.default_rng(WALK.seed))
    rows = truth.filter(pl.col("user") == "3").to_dicts()
    for at in range(1, 12):
        assert sum(next_weights(of, rows[:at], rows[at]["time"])) == pytest.approx(1)


def test_a_first_content_follows_nothing() -> None:
    """It comes of the country alone, and no click is likelier for what stands before."""
    of, nothing = world(40, np.random.default_rng(1)), np.zeros(COUNTRIES, np.int64)
    counts_UC, country_U = np.zeros((COUNTRIES, TOPICS), np.int64), np.arange(COUNTRIES)
    seen = Seen(nothing - 1, nothing > 0, nothing, counts_UC, country_U, nothing + AWAY)
    expected_UI = of.topic_share_GC[:, of.topic_I] * of.share_I
    np.testing.assert_allclose(next_content(of, seen), expected_UI)
    np.testing.assert_allclose(click_logit(of, seen), np.tile(of.quality_I - 0.3, (COUNTRIES, 1)))


def test_the_seed_makes_it(truth: pl.DataFrame) -> None:
    assert truth.equals(walked(WALK))
    assert not truth.equals(walked(replace(WALK, seed=6)))
    assert len(truth) == WALK.engagements
    assert truth["user"].n_unique() == WALK.users
    assert truth.select("user", "time").is_duplicated().sum() == 0


@pytest.fixture(scope="module")
def large() -> pl.DataFrame:
    return walked(Walk(engagements=30_000, users=600, items=200))


def test_no_other_prediction_has_a_lower_loss(large: pl.DataFrame) -> None:
    for bit, name in enumerate(("click", "like")):
        happened = (large["actions"].to_numpy() >> bit) & 1 == 1
        true = large[name].to_numpy()
        odds = np.log(true / (1 - true))
        best = normalized_entropy(true, happened)
        assert best < 0.85
        assert true.mean() == pytest.approx(happened.mean(), abs=4 * 0.5 / math.sqrt(len(true)))
        noise = np.random.default_rng(0).normal(0, 0.5, len(odds))
        for other in (odds + 0.2, odds - 0.2, odds * 0.85, odds * 1.15, odds + noise):
            assert normalized_entropy(1 / (1 + np.exp(-other)), happened) > best
        assert log_loss(true[::-1], happened) > log_loss(true, happened)


def test_the_best_is_far_from_the_most_popular(large: pl.DataFrame) -> None:
    best, popular = best_figures(large), hindsight(large)
    assert best["hr@10"] > 2 * popular["hr@10"]
    assert best["log-perplexity"] < math.log(200) - 1


def test_contents_come_as_often_as_the_truth_says(large: pl.DataFrame) -> None:
    """Of what has probability p, a share of p is right: the mean of 1/p counts the items."""
    asked = targets(large)
    weight = (-asked["log_probability"]).exp()
    error = float(weight.std() or 0) / math.sqrt(len(asked))  # type: ignore[arg-type]
    assert float(weight.mean() or 0) == pytest.approx(200, abs=4 * error)  # type: ignore[arg-type]


def test_all_of_the_catalogue_comes(large: pl.DataFrame) -> None:
    """The last tenth of the items has one of each topic, and so about a tenth of the share."""
    assert (large["item"] > 180).mean() == pytest.approx(0.1, abs=0.04)
    assert large["item"].n_unique() == 200


def test_a_like_is_a_click_too(large: pl.DataFrame) -> None:
    assert sorted(large["actions"].unique()) == [0, 1, 3]


def test_users_move_when_they_were_away(large: pl.DataFrame) -> None:
    before = large.select(pl.col("time", "country").diff().over("user")).drop_nulls()
    away = before["time"] > 1_800_000
    moves = before["country"] != 0
    assert not moves.filter(~away).any()
    assert moves.filter(away).mean() == pytest.approx(MOVES, abs=0.02)


def test_hindsight_is_the_best_of_all_fixed_orders(truth: pl.DataFrame) -> None:
    counts = Counter(targets(truth)["item"].to_list())
    best = sum(count for _, count in counts.most_common(10)) / counts.total()
    assert hindsight(truth)["hr@10"] == pytest.approx(best)


def test_the_pipeline_makes_sequences_with_every_engagement_once(
    truth: pl.DataFrame, made: Made
) -> None:
    found = sorted(
        (str(row["user_id"]), time, item, bits, categories)
        for row in made.rows
        for time, item, bits, categories, _ in new_contents(row)
    )
    expected = truth.select("user", "time", "item", "actions", pl.concat_list("topic")).rows()
    assert found == sorted(expected)


def test_the_spec_is_json(tmp_path: Path) -> None:
    written(Walk(20, 2, 20), tmp_path)
    assert json.loads((tmp_path / "spec.yaml").read_text()) == SPEC
