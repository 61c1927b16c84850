"""Parts of histories, and what two of them share, against plain loops."""

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from model.batch import Category, SequenceBatch
from model.scoring.history import part_of, shared_tokens, without_features
from model.scoring.packing import microbatches
from tests.model.scoring.asking import history, nothing, request

Token = tuple[int, int, int, tuple[int, ...]]
TOKEN = st.tuples(
    st.integers(0, 2), st.integers(1, 2), st.integers(1, 2), st.sampled_from([(), (1,), (1, 2)])
)


def of_tokens(tokens: list[Token]) -> SequenceBatch:
    """Type, id, time and, of a content, ids of a category."""
    lists = [ids for kind, _, _, ids in tokens if kind == 0]
    kinds, id_T, time_T = (
        torch.tensor([token[n] for token in tokens], dtype=torch.int64) for n in range(3)
    )
    ends = torch.tensor([0, *map(len, lists)]).cumsum(0)
    ids = torch.tensor([each for some in lists for each in some], dtype=torch.int64)
    none = torch.zeros(1, dtype=torch.int64)
    offsets = torch.tensor([0, len(tokens)])
    categories = {"topic": Category(ids, ends)}
    return SequenceBatch(offsets, kinds, id_T, time_T, none, categories, ("u",), ("s",), none)


def tokens_of(batch: SequenceBatch) -> list[Token]:
    topics = batch.categories["topic"]
    lists = iter(
        tuple(topics.ids_N[start:stop].tolist()) for start, stop in pairwise(topics.offsets_E1)
    )
    columns = (batch.type_T.tolist(), batch.id_T.tolist(), batch.time_T.tolist())
    return [
        (kind, id_, time, next(lists) if kind == 0 else ())
        for kind, id_, time in zip(*columns, strict=True)
    ]


def plain(tokens: list[Token]) -> list[Token]:
    return [(kind, id_, time, ids if kind == 0 else ()) for kind, id_, time, ids in tokens]


@given(st.lists(TOKEN, max_size=8), st.lists(TOKEN, max_size=8), st.integers(0, 8))
def test_what_two_share(one: list[Token], other: list[Token], alike: int) -> None:
    one, other = plain(one), plain(one)[:alike] + plain(other)
    expected = 0
    while expected < min(len(one), len(other)) and one[expected] == other[expected]:
        expected += 1
    assert shared_tokens(of_tokens(one), of_tokens(other)) == expected


@given(st.lists(TOKEN, max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_a_part(tokens: list[Token], start: int, length: int) -> None:
    part = part_of(of_tokens(tokens), start, start + length)
    assert tokens_of(part) == plain(tokens)[start : start + length]


def test_contents_and_actions_alone() -> None:
    whole = history(9)
    kept = without_features(whole)
    assert tokens_of(kept) == [token for token in tokens_of(whole) if token[0] < 2]
    assert kept.offsets_B1.tolist() == [0, kept.tokens]


@given(st.lists(st.integers(0, 6), max_size=5), st.integers(1, 7))
def test_microbatches_are_all_candidates_in_order(counts: list[int], most: int) -> None:
    asked = [request(str(n), nothing(), count) for n, count in enumerate(counts)]
    found = list(microbatches(asked, most))
    each = [(p.number, n) for parts in found for p in parts for n in range(p.start, p.stop)]
    assert each == [(number, n) for number, count in enumerate(counts) for n in range(count)]
    assert all(sum(map(len, parts)) == most for parts in found[:-1])
    assert all(0 < sum(map(len, parts)) <= most and all(map(len, parts)) for parts in found)
