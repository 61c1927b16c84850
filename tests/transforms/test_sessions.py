"""The stateful stage by hand: what it keeps, when it sets its timer, and what it leaves behind."""

from typing import Any

import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow

from schemas.spec import Spec
from tests.machine import spec_of
from tests.oracles import shop
from tests.oracles.shop import T
from tests.outcome import Row
from tests.transforms.stage import Stage, rows_of, tagged
from tests.transforms.streaming import one


def small(**changes: Any) -> Spec:
    written = shop.spec_of(horizon="500ms", **changes)
    del written["sources"]["e"]["end"]
    return spec_of(written)


def view(time: int, **values: Any) -> Row:
    return shop.at(time, **{"i": 1, "a": "VIEW", **values})


def test_the_timer_is_set_only_when_its_time_changes() -> None:
    spec = small()
    stage = Stage(spec)
    stage.take(one(spec, view(2000)))
    stage.take(one(spec, view(2000), view(5000)))
    assert len(stage.timer.sets) == 1
    stage.take(one(spec, view(1000)))
    assert len(stage.timer.sets) == 2
    assert stage.timer.sets[1] < stage.timer.sets[0]
    assert stage.due.value == stage.timer.sets[1]


def test_what_is_not_complete_waits_on_and_the_timer_with_it() -> None:
    spec = small()
    stage = Stage(spec)
    stage.take(one(spec, view(0), view(900), view(4000, i=2)))
    given = stage.fire(T + 1500)
    assert rows_of(given) == []
    assert stage.waits() == [0, 900, 4000]
    assert stage.final.value == T + 1000
    assert stage.timer.sets[-1] > T + 1500
    given = stage.fire(T + 2500)
    assert [row["new_contents"] for row in rows_of(given)] == [2]
    assert stage.waits() == [4000]
    assert stage.timer.sets[-1] == T + 5500


def test_nothing_is_left_to_fire_for_where_nothing_waits() -> None:
    spec = small()
    stage = Stage(spec)
    stage.take(one(spec, view(0)))
    assert len(rows_of(stage.fire(T + 1500))) == 1
    sets = len(stage.timer.sets)
    assert stage.waits() == []
    assert stage.bags["waiting"].chunks == []
    assert stage.due.value is None
    stage.take(one(spec, view(9000)))
    assert len(stage.timer.sets) == sets + 1  # it is set anew when something comes


def test_s3_late_is_at_or_before_what_was_final() -> None:
    spec = small()
    stage = Stage(spec)
    stage.take(one(spec, view(0)))
    stage.fire(T + 2000)
    given = stage.take(one(spec, view(1500), view(1501), view(9)))
    (late,) = tagged(given, "late")
    assert sorted(late["event_time"].cast(pa.int64()).to_pylist()) == [T + 9, T + 1500]
    assert late["raw"].to_pylist() == [b"0", b"2"]
    (counts,) = tagged(given, "statistics")
    assert counts["value"].to_pylist() == [2.0]
    assert stage.waits() == [1501]
    assert stage.take(one(spec, view(9)))
    assert stage.waits() == [1501]


def test_histories_outlive_firings_and_erasures_forget_them() -> None:
    spec = small()
    stage = Stage(spec)
    stage.take(one(spec, view(0)))
    stage.fire(T + 1500)
    stage.take(one(spec, view(3000, i=2)))
    (row,) = rows_of(stage.fire(T + 4500))
    assert (row["contents"], row["new_contents"]) == (2, 1)
    assert any(bag.chunks for bag in (stage.bags["recent"], *stage.cells.values()))
    stage.take(one(spec, {"u": "u", "t": T + 5000}, source="x"))
    given = stage.fire(T + 5500)
    (tombstones,) = tagged(given, "tombstones")
    assert tombstones["user_id"].to_pylist() == ["u"]
    stage.take(one(spec, view(6000, i=3)))
    (row,) = rows_of(stage.fire(T + 7500))
    assert (row["contents"], row["raw_tokens"]) == (1, 2)


def test_s15_a_user_that_is_past_its_retention_is_forgotten() -> None:
    spec = small(retention="3000ms")
    stage = Stage(spec)
    stage.take(one(spec, view(0)))
    stage.fire(T + 1500)
    stage.take(one(spec, {**view(90_000), "u": "other"}))
    stage.fire(T + 91_500)
    (held,) = stage.bags["held"].read()
    assert "u" not in held["user"].to_pylist()


def test_s15_what_is_past_its_retention_goes_though_nothing_more_comes() -> None:
    spec = small(retention="16s")
    stage = Stage(spec)
    stage.take(one(spec, view(0), {**view(0), "u": "other"}))
    stage.fire(T + 1500)
    assert stage.timer.sets[-1] == T + 18_000  # R + R/16 + L after it, on the grid
    assert stage.fire(T + 18_000) == []
    (held,) = stage.bags["held"].read()
    assert held.num_rows == 0
    assert not any(bag.chunks for bag in (stage.bags["recent"], *stage.cells.values()))
    assert stage.bags["waiting"].chunks == []
    assert (stage.due.value, len(stage.timer.sets)) == (None, 2)
    assert stage.final.value == T + 17_500  # what comes up to there is late still


def test_without_a_retention_nobody_is_forgotten_and_no_timer_is_set_for_it() -> None:
    stage = Stage(small())
    stage.take(one(stage.spec, view(0)))
    stage.fire(T + 1500)
    (held,) = stage.bags["held"].read()
    assert held["user"].to_pylist() == ["u"]
    assert (stage.due.value, len(stage.timer.sets)) == (None, 1)


def test_bounded_input_fires_once_at_the_end_of_time() -> None:
    spec = small()
    stage = Stage(spec, bounded=True)
    for time in (9000, 0, 1):
        assert stage.take(one(spec, view(time))) == []
    assert set(stage.timer.sets) == {GlobalWindow().max_timestamp().micros // 1000}
    given = stage.fire(GlobalWindow().max_timestamp().micros // 1000)
    assert sorted(row["new_contents"] for row in rows_of(given)) == [1, 2]
    assert stage.waits() == []


def test_a_firing_without_rows_gives_nothing() -> None:
    stage = Stage(small())
    assert stage.fire(T) == []
    assert stage.due.value is None
