"""The table does what plain loops do, over any course of fetches, steps, evictions and reloads."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.exchange import Exchange
from model.vocabulary.settings import RowwiseAdamW, VocabularySettings
from model.vocabulary.shard import NULL
from model.vocabulary.table import EmbeddingTable, Fetched
from schemas.failures import Failure
from tests.model.vocabulary.naive import NaiveTable

WIDTH, SEED = 3, 11
ADAMW = RowwiseAdamW(betas=(0.9, 0.98), eps=1e-8, weight_decay=0.1)


def table_with(**settings: int | None) -> EmbeddingTable:
    wanted = VocabularySettings.model_construct(**VocabularySettings().model_dump() | settings)
    return EmbeddingTable("content", WIDTH, wanted, ADAMW, Exchange.alone(), SEED)


@dataclass(frozen=True)
class Step:
    """A fetch, whether it is followed by a step, whether by an eviction, whether by a reload."""

    ids: list[int]
    unsighted: int
    pause: int
    initial: bool
    learns: bool
    evicts: bool
    reloads: bool


IDS = st.lists(st.sampled_from([*range(25), 2**62 + 5]), max_size=15)
STEPS = st.lists(
    st.builds(
        Step,
        *(IDS, st.integers(0, 4), st.integers(-40, 400)),
        *(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    ),
    max_size=12,
)


@given(STEPS, st.integers(1, 3), st.sampled_from([None, 5, 17]), st.sampled_from([None, 320]))
@settings(max_examples=60)
def test_it_is_a_table_in_plain_loops(
    steps: list[Step], admit_after: int, capacity: int | None, max_age: int | None
) -> None:
    table = table_with(admit_after=admit_after, capacity=capacity, max_age=max_age)
    naive = NaiveTable("content", WIDTH, SEED, admit_after, capacity, max_age)
    now = 1_000_000
    for number, step in enumerate(steps):
        now += step.pause
        unsighted = min(step.unsighted, len(step.ids))
        initial_NM = said(step.ids, number)
        fetched = table.fetch(
            torch.tensor(step.ids, dtype=torch.int64),
            now,
            unsighted=unsighted,
            initial=initial_NM.__getitem__ if step.initial else None,
        )
        sighted = len(step.ids) - unsighted
        begun = initial_NM.tolist() if step.initial else None
        assert_same(fetched, *naive.fetch(step.ids, now, sighted, begun))
        if step.learns:
            gradient_NM = said(step.ids, number + 100)
            torch.autograd.backward((fetched.vectors_UM[fetched.inverse_N] * gradient_NM).sum())
            table.apply(fetched, lr=0.01)
            naive.apply(step.ids, gradient_NM.tolist(), lr=0.01)
        if step.evicts:
            assert sorted(table.evict(now).tolist()) == naive.evict(now)
        if step.reloads:
            state, table = (
                table.state(),
                table_with(admit_after=admit_after, capacity=capacity, max_age=max_age),
            )
            table.load([state])
        assert_state(table.state(), naive)


def said(ids: list[int], number: int) -> torch.Tensor:
    """Some numbers for each place; zeros for some ids."""
    generator = torch.Generator().manual_seed(number)
    numbers_NM = torch.randn(len(ids), WIDTH, generator=generator)
    return numbers_NM * (torch.tensor(ids) % 5 != 0).float().reshape(-1, 1)


def assert_same(
    fetched: Fetched,
    vectors: list[list[float]],
    known: list[bool],
    new: list[bool],
    first_seen: list[int],
) -> None:
    found_NM = fetched.vectors_UM[fetched.inverse_N]
    torch.testing.assert_close(found_NM, torch.tensor(vectors).reshape(-1, WIDTH))
    assert fetched.known_N.tolist() == known
    assert fetched.new_N.tolist() == new
    assert fetched.first_seen_N.tolist() == first_seen
    assert len(fetched.vectors_UM) == len(torch.unique(fetched.inverse_N))


def assert_state(state: dict[str, torch.Tensor], naive: NaiveTable) -> None:
    ids = sorted(naive.rows)
    rows = [naive.rows[one] for one in ids]
    assert state["ids"].tolist() == ids
    assert state["step"].tolist() == [row.step for row in rows]
    assert state["last_seen"][2:].tolist() == [row.last_seen for row in rows[2:]]
    for name, wanted in (("vectors", [row.vector for row in rows]), ("m", [row.m for row in rows])):
        torch.testing.assert_close(state[name], torch.tensor(wanted))
    torch.testing.assert_close(state["v"], torch.tensor([row.v for row in rows]))


def test_a_row_taken_over_by_another_id_has_nothing_of_the_former() -> None:
    table = table_with(capacity=1)
    first = table.fetch(torch.tensor([5, 6]), 1)
    torch.autograd.backward(first.vectors_UM.sum())
    table.apply(first, lr=0.5)
    gone = int(table.evict(1)[0])
    other = table.fetch(torch.tensor([7]), 2)
    untouched = table_with().fetch(torch.tensor([7]), 2)
    assert torch.equal(other.vectors_UM, untouched.vectors_UM)
    assert other.first_seen_N.tolist() == [-1]
    state = table.state()
    of_seven = state["ids"].tolist().index(7)
    assert not state["m"][of_seven].any()
    assert not state["v"][of_seven]
    assert not state["step"][of_seven]
    assert gone in (5, 6)


def test_ids_go_at_their_age_and_not_before() -> None:
    table = table_with(max_age=640)
    table.fetch(torch.tensor([5, 6, 7]), 1_000)
    table.fetch(torch.tensor([6, NULL]), 1_300)
    table.fetch(torch.tensor([8]), 900)
    gone = {now: table.evict(now).tolist() for now in (1_540, 1_550, 1_640, 1_650, 1_949, 1_950)}
    assert gone == {1_540: [], 1_550: [8], 1_640: [], 1_650: [5, 7], 1_949: [], 1_950: [6]}
    assert table.fetch(torch.tensor([NULL, 6]), 1_950, sighted=False).known_N.tolist() == [
        True,
        False,
    ]


def test_a_step_after_an_eviction_is_refused() -> None:
    table = table_with(capacity=1)
    fetched = table.fetch(torch.tensor([5, 6]), 1)
    table.evict(1)
    with pytest.raises(ValueError, match=r"content: evict\(\) came between"):
        table.apply(fetched, lr=0.1)


def test_what_is_not_sighted_has_no_consequences() -> None:
    table = table_with()
    before = table.state()
    fetched = table.fetch(torch.tensor([5, NULL]), 1, sighted=False)
    assert fetched.known_N.tolist() == [False, True]
    assert all(torch.equal(kept, before[name]) for name, kept in table.state().items())


def test_initial_vectors_are_asked_of_sighted_places_only() -> None:
    asked = []

    def initial(place_n: torch.Tensor) -> torch.Tensor:
        asked.extend(place_n.tolist())
        return torch.ones(len(place_n), WIDTH)

    table_with().fetch(torch.tensor([5, 6, 5, 5]), 1, unsighted=1, initial=initial)
    assert asked == [0, 1, 2]


def test_own_gives_all_in_their_order_where_there_is_one_process() -> None:
    table = table_with()
    fetched = table.fetch(torch.tensor([5, 6]), 1)
    id_n, vectors_nM = table.own(torch.tensor([6, 5]))
    assert id_n.tolist() == [6, 5]
    assert torch.equal(vectors_nM, fetched.vectors_UM[[1, 0]])


def test_another_name_and_another_seed_begin_with_other_vectors() -> None:
    found = [
        EmbeddingTable(name, WIDTH, VocabularySettings(), ADAMW, Exchange.alone(), seed)
        .fetch(torch.tensor([5]), 1)
        .vectors_UM
        for name, seed in (("a", 1), ("b", 1), ("a", 2))
    ]
    assert len({tuple(vector.flatten().tolist()) for vector in found}) == 3


def test_new_vectors_are_drawn_as_wide_as_they_should_be() -> None:
    table = EmbeddingTable("a", 64, VocabularySettings(), ADAMW, Exchange.alone(), 0)
    vectors_UM = table.fetch(torch.arange(1, 2001), 1).vectors_UM.detach()
    assert abs(float(vectors_UM.std()) - 0.02) < 0.0002
    assert abs(float(vectors_UM.mean())) < 0.0002


def test_a_state_of_another_width_or_other_counters_is_refused() -> None:
    state = table_with(admit_after=2, counters=2**16).state()
    with pytest.raises(Failure, match="65536 counters of sightings; these settings ask for 131072"):
        table_with(admit_after=2, counters=2**17).load([state])
    wide = EmbeddingTable("a", 4, VocabularySettings(), ADAMW, Exchange.alone(), 0).state()
    with pytest.raises(Failure, match="vectors of width 4; this table has a width of 3"):
        table_with().load([wide])
