"""S3, S8: what a firing looks at, what waits on, and when the next one is due."""

from random import Random
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.spec import Spec
from tests.machine import Machine, decode, observations, spec_of
from tests.strategies import Case, cases
from tests.transforms.core.shop import T, at, erased, machine, rows
from transforms.core import shard
from transforms.core.arrays import NEVER, Bools, ints
from transforms.core.waiting import due, next_due


def seen(final: int, *records: Any, spec: Any = None, **other: Any) -> list[int]:
    """The times of the records that a firing looks at."""
    spec = spec or machine().spec
    table = rows(spec, *records, **other)
    return [time - T for time in ints(table["time"])[due(table, spec, T + final)].tolist()]


def test_s8_nothing_is_due_before_the_first_observation_is_a_gap_old() -> None:
    assert seen(999, at(0, i=1), at(500, i=2)) == []
    assert seen(1000, at(0, i=1), at(500, i=2), at(1001, i=3)) == [0, 500]


def test_s8_an_end_mark_makes_its_user_due() -> None:
    assert seen(20, at(0, i=1), at(10, a="OUT"), at(5, i=1, u="v")) == [0, 10]
    spec = machine(attribution="15ms").spec
    assert seen(24, at(0, i=1), at(10, a="OUT"), spec=spec) == []
    assert seen(25, at(0, i=1), at(10, a="OUT"), spec=spec) == [0, 10]


def test_s13_an_erasure_makes_its_user_due_at_once() -> None:
    assert seen(9, at(0, i=1), x=erased(10)) == []
    assert seen(10, at(0, i=1), x=erased(10)) == [0, 10]


def test_s13_an_erasure_is_due_at_its_time_whatever_the_attribution() -> None:
    spec = machine(attribution="300ms").spec
    assert next_due(rows(spec, x=erased(10)), spec) == T + 10
    assert next_due(rows(spec, at(0, a="OUT"), x=erased(500)), spec) == T + 300


@pytest.mark.parametrize(
    "changes", [{"session": {"gap": "1000ms", "max_contents": 1}}, {"attribution": "1000ms"}]
)
def test_s8_all_that_is_final_is_due_where_sessions_may_be_full(changes: Any) -> None:
    assert seen(5, at(0, i=1), at(5, i=2), at(6, i=3), spec=machine(**changes).spec) == [0, 5]


def test_when_the_next_firing_is_due() -> None:
    def due_at(*records: Any, changes: Any = None, **other: Any) -> int:
        spec = machine(**(changes or {})).spec
        return next_due(rows(spec, *records, **other), spec) - T

    assert due_at() == NEVER - T
    assert due_at(at(7, i=1), at(30, i=2)) == 1007
    assert due_at(at(7, i=1), at(30, a="OUT")) == 30
    assert due_at(at(7, i=1), at(30, a="OUT"), changes={"attribution": "9ms"}) == 39
    assert due_at(at(7, i=1), x=erased(8)) == 8
    full = {"session": {"gap": "1000ms", "max_contents": 1}}
    assert due_at(at(7, i=1), changes=full) == 7
    assert due_at(at(7, i=1), changes=full | {"attribution": "9ms"}) == 16


SOME = settings(max_examples=60, suppress_health_check=[*HealthCheck])
FRACTIONS = st.lists(st.floats(0, 1), min_size=1, max_size=4)


def _all_that_is_final(table: pa.Table, spec: Spec, final: int) -> Bools:
    return ints(table["time"]) <= final


@SOME
@given(cases(), FRACTIONS)
def test_what_is_not_due_hides_nothing_complete(case: Case, fractions: list[float]) -> None:
    """Firings on what is due give, each, what firings on all that is final give."""
    spec = spec_of(case[0])
    table = observations(spec, decode(spec, case[1]))
    finals = _finals(table, spec, fractions)
    narrow, wide = Machine(spec), Machine(spec)
    for number, final in enumerate(finals):
        arrived = table if number == 0 else table.slice(0, 0)
        got = narrow.fire(arrived, final)
        with patch.object(shard, "due", _all_that_is_final):
            want = wide.fire(arrived, final)
        assert _by_id(got) == _by_id(want)
        assert narrow.tombstones == wide.tombstones


@SOME
@given(cases(), FRACTIONS, st.randoms(use_true_random=False))
def test_nothing_is_complete_before_it_is_due(
    case: Case, fractions: list[float], random: Random
) -> None:
    spec = spec_of(case[0])
    table = observations(spec, decode(spec, case[1]))
    one = Machine(spec)
    for number, final in enumerate(_finals(table, spec, fractions)):
        tombstones = set(one.tombstones)
        waiting = table if number == 0 else one.waiting
        until = min(next_due(waiting, spec) - 1, final)
        assert one.fire(table if number == 0 else table.slice(0, 0), until) == []
        assert one.tombstones == tombstones
        one.fire(table.slice(0, 0), max(final, until))


def _finals(table: pa.Table, spec: Spec, fractions: list[float]) -> list[int]:
    time = ints(table["time"])
    if not len(time):
        return [0]
    low, span = int(time.min()), int(time.max() - time.min()) + spec.session.gap
    return sorted(low + int(span * fraction) for fraction in fractions)


def _by_id(found: list[Any]) -> dict[str, Any]:
    return {row["sequence_id"]: row for row in found}


def test_s8_a_session_goes_out_when_its_time_is_final_and_not_before() -> None:
    one = machine()
    assert one.fire(rows(one.spec, at(0, i=1), at(1000, i=2)), T + 1999) == []
    (row,) = one.fire(rows(one.spec), T + 2000)
    assert (row["session_start"], row["session_end"], row["new_contents"]) == (T, T + 1000, 2)
    assert one.waiting is not None
    assert one.waiting.num_rows == 0


def test_s10_entries_after_the_last_engagement_wait_for_the_next_session() -> None:
    one = machine()
    (first,) = one.fire(rows(one.spec, at(0, i=1), at(5, land="de"), at(3000, i=2)), T + 1000)
    assert first["token_type"] == [0, 1]
    (second,) = one.fire(rows(one.spec))
    assert second["token_type"] == [0, 1, 2, 0, 1]
    assert second["token_time"] == [T, T, T + 5, T + 3000, T + 3000]


def test_s4_a_joiner_after_the_cut_waits_only_to_be_counted() -> None:
    """A session closed by an end mark takes a later action; its record is of the next session."""
    one = machine(attribution="100ms")
    records = [at(0, i=1, a="VIEW"), at(10, a="OUT"), at(20, i=2), at(30, i=1, a="LIKE")]
    (first,) = one.fire(rows(one.spec, *records), T + 110)
    assert (first["token_id"], first["raw_tokens"]) == ([1, 0b11], 2)
    (second,) = one.fire(rows(one.spec, at(40, i=3)))
    assert second["token_id"] == [1, 0b11, 2, 0, 3, 0]
    assert second["raw_tokens"] == 2 + 2 + 2 + 2


def test_s13_an_erasure_takes_what_waits_and_what_is_held() -> None:
    one = machine()
    one.fire(rows(one.spec, at(0, i=1, land="de"), at(5000, i=2)), T + 4000)
    assert one.fire(rows(one.spec, x=erased(5500)), T + 5500) == []
    assert one.tombstones == {("u", T + 5500)}
    assert one.waiting is not None
    assert (one.waiting.num_rows, one.recent.chunks) == (0, [])
    (row,) = one.fire(rows(one.spec, at(6000, i=3)))
    assert (row["token_id"], row["raw_tokens"]) == ([3, 0], 2)


def test_s15_what_retention_ended_is_forgotten_and_sessions_before_it_still_come() -> None:
    one = machine(retention="2000ms")
    records = [at(0, i=1, land="de"), at(2001, i=2), at(4001, i=3)]
    first, second = one.fire(rows(one.spec, *records), T + 3900)
    assert (first["token_type"], second["token_id"]) == ([2, 0, 1], [2, 0])
    (third,) = one.fire(rows(one.spec))
    assert third["token_id"] == [2, 0, 3, 0]  # exactly R after: it goes on


def test_what_is_complete_is_used_up_once() -> None:
    one = machine()
    assert len(one.fire(rows(one.spec, at(0, i=1)), T + 5000)) == 1
    assert one.fire(rows(one.spec)) == []
    assert one.waiting is not None
    assert one.waiting.num_rows == 0
