"""A job goes on with the state of another, whose spec its own grew from."""

from random import Random
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from apache_beam.transforms.window import GlobalWindow
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.fingerprint import fingerprint
from schemas.layout import layout_of
from tests.machine import ListBag, spec_of
from tests.oracles import shop
from tests.outcome import Row, by_id, different_rows, expected
from tests.strategies.growths import Growth, growths
from tests.transforms.stage import Stage, Timer, rows_of, tagged
from tests.transforms.streaming import arriving, one
from transforms.coders import whole
from transforms.core import archive
from transforms.core.arrays import ints
from transforms.core.growth import StateRefused
from transforms.core.shard import Held
from transforms.ending import CutAtEnd

EVER = GlobalWindow().max_timestamp().micros // 1000


@pytest.mark.parametrize(("recent_bytes", "examples"), [(0, 40), (4_000, 40), (4 << 20, 40)])
def test_s12_a_grown_spec_goes_on_as_if_it_had_been_there_from_the_beginning(
    recent_bytes: int, examples: int
) -> None:
    @settings(max_examples=examples, suppress_health_check=[*HealthCheck])
    @given(growths(), st.integers(0, 2), st.randoms(use_true_random=False))
    def check(growth: Growth, firings: int, random: Random) -> None:
        with patch.object(archive, "RECENT_BYTES", recent_bytes):
            _goes_on(growth, firings, random)

    check()


def _goes_on(growth: Growth, firings: int, random: Random) -> None:
    stage = Stage(spec_of(growth.old), 1)
    finals = [growth.final - 1500 * number for number in reversed(range(firings))]
    first = _fed(stage, growth.before, finals, random)
    second = stage.taken_over(spec_of(growth.new))
    later = sorted(random.choices(range(growth.final, growth.final + 5000), k=2))
    given_then = _fed(second, growth.after, later, random) + second.fire(EVER)
    assert tagged(first, "late") == tagged(given_then, "late") == []
    want = expected(growth.new, growth.sources)
    void = want.tombstones
    old_rows, new_rows = by_id(rows_of(first), void), by_id(rows_of(given_then), void)
    known = [name for name in growth.sources if name in growth.old["sources"]]
    old_want = expected(growth.old, {name: growth.sources[name] for name in known}).sequences
    assert different_rows(old_rows, {n: r for n, r in old_want.items() if n in old_rows}) == []
    rest = {n: row for n, row in want.sequences.items() if n not in old_rows}
    assert different_rows(new_rows, rest) == []
    assert old_rows.keys() <= want.sequences.keys()


def _fed(stage: Stage, sources: Any, finals: list[int], random: Random) -> list[Any]:
    """What a stage gives of records that arrive, each before its time is final."""
    rows = arriving(stage.spec, sources)
    given: list[Any] = []
    for number, final in enumerate(finals):
        last = number == len(finals) - 1
        now = [t <= final or last or random.random() < 0.5 for t in ints(rows["time"]).tolist()]
        given += _taken(stage, rows.filter(pa.array(now, pa.bool_())))
        rows = rows.filter(pa.array([not each for each in now], pa.bool_()))
        given += stage.fire(final + stage.spec.horizon)
    return given + _taken(stage, rows)


def _taken(stage: Stage, rows: pa.Table) -> list[Any]:
    chunks = [rows.slice(start, 3) for start in range(0, rows.num_rows, 3)]
    return [each for chunk in chunks for each in stage.take(chunk)]


def view(time: int, **values: Any) -> Row:
    return shop.at(time, **{"i": 1, "a": "VIEW", **values})


def small(**changes: Any) -> Any:
    written = shop.spec_of(horizon="500ms", **changes)
    del written["sources"]["e"]["end"]
    return written


def test_every_cell_says_what_wrote_it() -> None:
    spec = spec_of(small())
    stage = Stage(spec)
    stage.take(one(spec, view(0), view(5000)))
    stage.fire(shop.T + 1500)
    bounded, waiting = CutAtEnd(spec), ListBag()
    bounded.process((0, whole(one(spec, view(0)))), waiting=waiting, end=Timer())
    for name in ("waiting", "held"):
        for batch in stage.bags[name].read():
            assert batch.schema.metadata[b"phia-layout"] == layout_of(spec, 1).encode()
    (waits,) = waiting.read()
    assert b"phia-layout" not in waits.schema.metadata


@pytest.mark.parametrize("fired", [False, True])
def test_state_of_another_meaning_is_refused_in_one_line(fired: bool) -> None:
    spec = spec_of(small())
    stage = Stage(spec)
    stage.take(one(spec, view(0)))
    if fired:  # nothing waits, and the ledger alone tells
        stage.fire(shop.T + 1500)
    other = stage.taken_over(spec_of(small(attribution="1s")))
    with pytest.raises(StateRefused) as refused:
        other.fire(shop.T + 1500)
    assert str(refused.value) == (
        "the state was written with attribution: 0s → 1s; start a new job from earliest into a "
        "new topic and folder, or undo the change"
    )


def test_state_that_does_not_say_what_wrote_it_is_refused() -> None:
    spec = spec_of(small())
    stage = Stage(spec)
    stage.bags["held"].add(Held().to_batch())
    with pytest.raises(StateRefused, match="does not say what wrote it"):
        stage.fire(shop.T)


def test_several_growths_may_lie_between_two_firings() -> None:
    """Waiting rows of three specs, with a source before, between and after the others by name."""
    written = [small() for _ in range(3)]
    for number, names in enumerate([(), ("a",), ("a", "z", "f")]):
        written[number]["sources"] |= {name: {"user": "u", "time": "t"} for name in names}
    stage = Stage(spec_of(written[0]))
    stage.take(one(stage.spec, view(0)))
    for number, spec in enumerate(map(spec_of, written[1:]), 1):
        stage = stage.taken_over(spec)
        stage.take(one(spec, view(100 * number, i=number + 1)))
    (row,) = rows_of(stage.fire(EVER))
    want = shop.run(written[2], *(view(100 * n, i=n + 1) for n in range(3))).sequences[0]
    assert different_rows(by_id([row]), by_id([want])) == []
    assert row["spec"] == fingerprint(stage.spec)


def test_a_longer_horizon_takes_nothing_back_that_was_released() -> None:
    stage = Stage(spec_of(small()))
    stage.take(one(stage.spec, view(0)))
    stage.fire(shop.T + 2500)
    after = stage.taken_over(spec_of({**small(), "horizon": "1h"}))
    given_then = after.take(one(after.spec, view(2000, i=2), view(2001, i=3)))
    (late,) = tagged(given_then, "late")
    assert late["event_time"].cast(pa.int64()).to_pylist() == [shop.T + 2000]
    after.fire(shop.T + 2600)
    assert stage.final.value == shop.T + 2000
    (row,) = rows_of(after.fire(EVER))
    assert [token for kind, token, _ in shop.tokens_of(row) if kind == 0] == [1, 3]
