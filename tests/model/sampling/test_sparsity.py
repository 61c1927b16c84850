"""The paper's figures of sparsity."""

import json

import numpy as np
import pytest

from model.sampling.sparsity import Sparsity


def sums(before: list[int], after: list[int], longest: int = 100) -> Sparsity:
    changed = np.array(before) != np.array(after)
    return Sparsity.of(longest, changed, np.array(before), np.array(after))


def test_sparsity_is_one_minus_the_mean_length_over_the_longest() -> None:
    found = sums([100, 50], [20, 50])
    assert found.sparsity == pytest.approx(1 - 35 / 100)
    assert found.s2 == pytest.approx(1 - (20**2 + 50**2) / 2 / 100**2)
    assert found.tokens_share == pytest.approx(70 / 150)
    assert found.pairs_share == pytest.approx((20**2 + 50**2) / (100**2 + 50**2))
    assert (found.rows, found.replaced) == (2, 1)


def test_short_sequences_are_sparse_without_being_shortened() -> None:
    found = sums([25, 25], [25, 25])
    assert (found.sparsity, found.tokens_share, found.pairs_share) == (0.75, 1, 1)


def test_sums_of_parts_are_the_sum_of_the_whole() -> None:
    assert sums([100], [20]) + sums([50, 3], [50, 3]) == sums([100, 50, 3], [20, 50, 3])
    with pytest.raises(ValueError, match="N = 100 and 200"):
        sums([1], [1]) + sums([1], [1], 200)


def test_of_nothing_nothing_is_spared() -> None:
    none = Sparsity(100)
    assert (none.sparsity, none.s2, none.tokens_share, none.pairs_share) == (0, 0, 1, 1)


def test_it_goes_through_json() -> None:
    found = sums([100, 50], [20, 50])
    assert Sparsity(**json.loads(json.dumps(found.state()))) == found
