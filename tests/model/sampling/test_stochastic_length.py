"""Equation 4: who is replaced, by how much, and by a draw of its own."""

import numpy as np
import pytest
import xxhash

from model.sampling.stochastic_length import StochasticLength
from model.sampling.token_rows import tokens_of
from schemas.failures import UsageError
from schemas.load import parse_spec
from schemas.thinning import drawn, draws
from tests.model.sampling.sequences import batch_of, engaged, row_of
from tests.schemas.shop import SHOP

IDS = [f"{n:032x}" for n in range(20_000)]


@pytest.mark.parametrize(
    ("longest", "alpha", "limit"),
    [(1024, 1.6, 256), (1024, 1.2, 64), (8192, 1.6, 1351), (8192, 2.0, 8192), (4, 1.001, 2)],
)
def test_the_limit_is_a_power_of_the_longest(longest: int, alpha: float, limit: int) -> None:
    assert StochasticLength(longest, alpha).limit == limit


def test_whole_with_probability_n_to_the_alpha_over_n_squared() -> None:
    length = StochasticLength(1024, 1.6)
    whole = length.whole(np.array([0, 1, 256, 257, 512, 1024, 9999]))
    np.testing.assert_allclose(whole, [1, 1, 1, 256**2 / 257**2, 0.25, 0.0625, 0.0625], rtol=1e-12)
    np.testing.assert_allclose(
        length.expected(np.array([7, 512, 1024, 9999])), [7, 320, 304, 304], rtol=1e-12
    )


def test_as_many_are_replaced_as_the_probability_says() -> None:
    replaced = StochasticLength(1024, 1.6).replaced(IDS, np.full(len(IDS), 512))
    assert replaced.mean() == pytest.approx(0.75, abs=0.01)


def test_nothing_is_replaced_at_two_or_below_the_limit() -> None:
    tokens = np.full(len(IDS), 1024)
    assert not StochasticLength(1024, 2.0).replaced(IDS, tokens).any()
    assert not StochasticLength(1024, 1.6).replaced(IDS, tokens // 4).any()


def test_the_draw_is_the_hash_of_seed_length_and_id() -> None:
    draw = xxhash.xxh3_64_intdigest(b"3:length:ab") / 2**64
    tokens = int(np.sqrt(1024**1.6 / draw))  # about where the probability is the draw
    length = StochasticLength(1024, 1.6, seed=3)
    around = np.array([tokens - 1, tokens + 2])
    assert length.replaced(["ab", "ab"], around).tolist() == [False, True]


def test_the_draw_is_independent_of_that_of_sampling() -> None:
    tokens = np.full(len(IDS), 1000)
    sampled = drawn(draws(0, IDS), tokens, 100)
    replaced = StochasticLength(1024, 1.6).replaced(IDS, tokens)
    assert replaced[sampled].mean() == pytest.approx(replaced.mean(), abs=0.02)


def test_rows_are_replaced_in_their_places_and_the_others_left() -> None:
    batch = batch_of([row_of(engaged(60 + at % 3 - 50 * (at % 2)), 3, IDS[at]) for at in range(40)])
    length = StochasticLength(128, 1.5)
    short = length.shortened(batch)
    before, after = tokens_of(batch), tokens_of(short.batch)
    assert short.batch["sequence_id"] == batch["sequence_id"]
    assert (after[short.replaced_R] == 38).all()  # of 128^0.75 = 38.05
    whole = ~short.replaced_R
    assert (after[whole] == before[whole]).all()
    assert 0 < short.replaced_R.sum() < 20
    kept = np.flatnonzero(whole)
    assert short.batch.take(kept).to_pylist() == batch.take(kept).to_pylist()


def test_one_row_alone_is_shortened_like_in_company() -> None:
    batch = batch_of([row_of(engaged(10 + 90 * (n % 2)), 2, IDS[n]) for n in range(8)])
    length = StochasticLength(200, 1.5, "random")
    together = length.shortened(batch).batch
    for at in range(8):
        alone = length.shortened(batch.slice(at, 1)).batch
        assert alone.to_pylist() == together.slice(at, 1).to_pylist()


def test_what_is_longer_than_the_longest_is_first_cut_to_its_newest() -> None:
    batch = batch_of([row_of(engaged(90), 2, name) for name in IDS[:50]])
    short = StochasticLength(100, 1.9, "random").shortened(batch)
    lengths = tokens_of(short.batch)
    assert set(lengths.tolist()) == {78, 100}
    assert short.before_R.tolist() == [100] * 50
    newest = batch["token_id"][0].as_py()[-100:]
    for row, length in zip(short.batch.to_pylist(), lengths, strict=True):
        assert set(row["token_id"]) <= set(newest)
        assert (row["token_id"] == newest) == (length == 100)


def test_an_empty_batch_stays_empty() -> None:
    assert StochasticLength(100, 1.5).shortened(batch_of([])).batch.num_rows == 0


def test_set_features_are_known_from_the_spec() -> None:
    spec = parse_spec(SHOP)
    kinds = [feature.kind for feature in spec.features.values()]
    length = StochasticLength.of(spec, 100, 1.5, "newest", 4)
    assert length.sets == {2 + at for at, kind in enumerate(kinds) if kind == "set"} != set()
    assert (length.choice, length.seed) == ("newest", 4)


@pytest.mark.parametrize(
    ("longest", "alpha", "choice", "said"),
    [
        (100, 1.0, "newest", "alpha is 1.0; must be more than 1 and at most 2"),
        (100, 2.1, "newest", "alpha is 2.1"),
        (3, 1.5, "newest", "has 3 tokens; must be at least 4"),
        (100, 1.5, "oldest", "'oldest'; must be one of newest, random, recency"),
    ],
)
def test_what_makes_no_sense_is_refused(longest: int, alpha: float, choice: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        StochasticLength(longest, alpha, choice)  # type: ignore[arg-type]
