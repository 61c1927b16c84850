"""Sketches made on columns are the library's, byte for byte."""

import numpy as np
import pytest
from datasketches import theta_union, update_theta_sketch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.sketches import united
from transforms.core.arrays import Ints
from transforms.core.sketches import LG_K, sketches_by

EDGES = [0, 1, -1, 1 << 62, (1 << 63) - 1, -(1 << 63)]
MEMBERS = st.lists(st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from(EDGES), min_size=1)


def library(members: list[int]) -> bytes:
    """The sketch that the library makes, member by member, with no more hashes than it needs."""
    sketch, union = update_theta_sketch(LG_K), theta_union(LG_K)
    for member in members:
        sketch.update(member)
    union.update(sketch)
    return bytes(union.get_result().serialize())


def sketch_of(members: list[int] | Ints) -> bytes:
    array = np.array(members, np.int64)
    (sketch,) = sketches_by(np.zeros(len(array), np.int64), array)[1]
    return sketch


@given(MEMBERS)
def test_a_small_set(members: list[int]) -> None:
    assert sketch_of(members) == library(members)
    assert united([sketch_of(members)]).get_estimate() == len({*members})


@pytest.mark.parametrize("count", [1, 2, 4095, 4096, 4097, 9000, 60_000])
def test_sets_of_many_sizes_in_any_order(count: int) -> None:
    random = np.random.default_rng(count)
    members = random.integers(-(1 << 62), 1 << 62, count)
    twice = random.permutation(np.concatenate([members, members[: count // 3]]))
    assert sketch_of(twice) == library(members.tolist())
    assert united([sketch_of(twice)]).get_estimate() == pytest.approx(count, rel=0.05)


def test_halves_unite_to_the_whole() -> None:
    members = np.arange(20_000) * 7
    parts = [sketch_of(members[:15_000]), sketch_of(members[9_000:])]
    assert united(parts).serialize() == sketch_of(members)


@given(st.lists(st.tuples(st.integers(-3, 30_000), st.integers(0, 9))))
def test_groups_are_apart(pairs: list[tuple[int, int]]) -> None:
    columns = np.array(pairs, np.int64).reshape(-1, 2)
    groups, sketches = sketches_by(columns[:, 0], columns[:, 1])
    assert groups.tolist() == sorted({group for group, _ in pairs})
    for group, sketch in zip(groups.tolist(), sketches, strict=True):
        assert sketch == library([member for other, member in pairs if other == group])
