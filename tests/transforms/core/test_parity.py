"""S12: the rules on columns give what the plain-loop oracle gives, in whatever way it is fed."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.fetched import Origin, Texts
from schemas.ids import bucket_of
from schemas.spec import Spec
from tests.machine import Machine, as_texts, decode, observations, spec_of
from tests.outcome import (
    Outcome,
    Row,
    account,
    by_id,
    differences,
    different_rows,
    expected,
    found,
)
from tests.strategies import Case, cases
from transforms.core import archive, emission
from transforms.core.arrays import ints
from transforms.core.decode.decoded import decoded
from transforms.core.decode.plan import Plan
from transforms.core.shard import EVER

RANDOMS = st.randoms(use_true_random=False)
MOMENTS = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def some(examples: int) -> Callable[[Any], Any]:
    """So many cases; drawing one takes about 30 ms."""
    return settings(max_examples=examples, suppress_health_check=[*HealthCheck])


@some(200)
@given(cases())
def test_s12_one_firing_is_the_oracle(case: Case) -> None:
    assert differences(found(*case), expected(*case)) == []


@some(60)
@given(cases(max_records=60))
def test_s12_one_firing_of_longer_histories_is_the_oracle(case: Case) -> None:
    assert differences(found(*case), expected(*case)) == []


@pytest.mark.parametrize("tokens", [1, 30])  # one sequence a piece, and several
def test_s12_sequences_in_many_pieces_are_the_oracle(tokens: int) -> None:
    @some(40)
    @given(cases(max_records=40))
    def check(case: Case) -> None:
        with patch.object(emission, "PIECE", tokens):
            assert differences(found(*case), expected(*case)) == []

    check()


@pytest.mark.parametrize(
    ("recent_bytes", "examples"), [(0, 50), (4_000, 90), (archive.RECENT_BYTES, 40)]
)
def test_s12_any_arrival_within_the_horizon(recent_bytes: int, examples: int) -> None:
    @some(examples)
    @given(cases(max_records=40), MOMENTS, RANDOMS)
    def check(case: Case, moments: list[float], random: Random) -> None:
        spec, sources = case
        parsed = spec_of(spec)
        rows = observations(parsed, decode(parsed, sources))
        want = expected(spec, sources)
        machine = Machine(parsed)
        with patch.object(archive, "RECENT_BYTES", recent_bytes):
            got = [*_in_firings(machine, rows, moments, random)]
        assert machine.tombstones == want.tombstones
        assert machine.copies == want.duplicates
        assert different_rows(by_id(got, want.tombstones), want.sequences) == []

    check()


def _in_firings(
    machine: Machine, rows: pa.Table, moments: list[float], random: Random
) -> Iterator[Row]:
    """The sequences where each row arrives before the firing that makes its time final."""
    time = ints(rows["time"])
    if len(time):
        low, high = int(time.min()), int(time.max()) + machine.spec.session.gap
        finals = sorted(int(low + (high - low) * moment) for moment in moments)
        latest = np.searchsorted(finals, time)
        arrives = np.array([random.randint(0, last) for last in latest.tolist()])
        for number, final in enumerate(finals):
            yield from machine.fire(_shuffled(rows, arrives == number, random), final)
        rows = _shuffled(rows, arrives == len(finals), random)
    yield from machine.fire(rows, EVER)


def _shuffled(rows: pa.Table, which: "np.ndarray[Any, Any]", random: Random) -> pa.Table:
    places = np.flatnonzero(which).tolist()
    random.shuffle(places)
    return rows.take(pa.array(places, pa.int64()))


@some(60)
@given(cases(), st.integers(2, 5))
def test_s12_any_number_of_shards(case: Case, shards: int) -> None:
    spec, sources = case
    parsed = spec_of(spec)
    rows = observations(parsed, decode(parsed, sources))
    bucket = np.array([bucket_of(user, shards) for user in rows["user"].to_pylist()], int)
    machines = [Machine(parsed) for _ in range(shards)]
    got = [
        row
        for number, machine in enumerate(machines)
        for row in machine.fire(rows.filter(pa.array(bucket == number)))
    ]
    want = expected(spec, sources)
    assert different_rows(by_id(got), want.sequences) == []
    assert set[Any]().union(*(machine.tombstones for machine in machines)) == want.tombstones
    assert sum(machine.copies for machine in machines) == want.duplicates


@some(60)
@given(cases(), st.integers(1, 4), RANDOMS)
def test_s12_any_batches_and_order_of_arrival(case: Case, size: int, random: Random) -> None:
    spec, sources = case
    parsed = spec_of(spec)
    parts = {name: [*_in_batches(parsed, name, raws, size)] for name, raws in sources.items()}
    every = [part for each in parts.values() for part in each]
    random.shuffle(every)
    machine = Machine(parsed)
    rows = by_id(machine.fire(observations(parsed, every)))
    counted = [account({name: part}) for name, each in parts.items() for part in each]
    rejected, filtered, dropped, texts = (list(column) for column in zip(*counted, strict=True))
    got = Outcome(
        rows,
        machine.tombstones,
        machine.copies,
        sum(rejected, rejected[0] - rejected[0]),
        sum(filtered, filtered[0] - filtered[0]),
        sum(dropped, dropped[0] - dropped[0]),
        set[Any]().union(*texts),
    )
    assert differences(got, expected(spec, sources)) == []


def _in_batches(spec: Spec, name: str, raws: list[Any], size: int) -> Iterator[Any]:
    texts, plan = as_texts(raws), Plan(spec, name)
    for start in range(0, max(len(texts), 1), size):
        some_texts = texts[start : start + size]
        lines = np.arange(start + 1, start + 1 + len(some_texts))
        yield decoded(Texts(name, some_texts, Origin(file=f"{name}.jsonl", line=lines)), plan)


@some(50)
@given(cases(), st.integers(1, 24), st.integers(1, 24), st.integers(0, 3))
def test_s14_thinning_twice_is_thinning_once(case: Case, one: int, other: int, seed: int) -> None:
    spec, sources = case
    larger, smaller = max(one, other), min(one, other)
    whole = found({key: spec[key] for key in spec if key != "sampling"}, sources).sequences
    first = found({**spec, "sampling": {"tokens": larger, "seed": seed}}, sources).sequences
    second = found({**spec, "sampling": {"tokens": smaller, "seed": seed}}, sources).sequences
    assert second.items() <= first.items() <= whole.items()
    for name, row in first.items():  # what a trainer with the smaller c draws of the larger's
        draw = {"sequence_id": name, "token_type": row["token_type"]}
        assert _drawn(draw, smaller, seed) == (name in second)


def _drawn(row: Row, tokens: int, seed: int) -> bool:
    hashed = xxhash.xxh3_64_intdigest(f"{seed}:{row['sequence_id']}".encode())
    return bool(hashed * len(row["token_type"]) < tokens * 2**64)


def test_s12_state_is_carried_by_bytes_alone() -> None:
    """A machine restored from another's bytes between firings goes on as that one would have."""
    spec = spec_of(_PLAIN)
    days = [_events(day) for day in range(4)]
    one, rows = Machine(spec), []
    for day, records in enumerate(days):
        rows += one.fire(observations(spec, decode(spec, {"e": records})), _T + day * _DAY + 10)
        one = Machine(spec, one.recent, one.cells, one.held, one.waiting)
    rows += one.fire(observations(spec, []))
    want = expected(_PLAIN, {"e": [one for day in days for one in day]})
    assert different_rows(by_id(rows), want.sequences) == []
    assert len(rows) == 4


_T, _DAY = 1_700_000_000_000, 86_400_000
_PLAIN: dict[str, Any] = {
    "version": 1,
    "name": "plain",
    "sources": {"e": {"user": "u", "time": "t", "item": "i"}},
    "actions": ["VIEW"],
}


def _events(day: int) -> list[Any]:
    return [{"u": "a", "t": _T + day * _DAY + n, "i": n + 1} for n in range(3)]
