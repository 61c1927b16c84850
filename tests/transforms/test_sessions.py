"""The stateful stage by hand: what it keeps, when it sets its timers, and what it leaves behind."""

import time
from typing import Any

import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow

from schemas.spec import Spec
from tests.machine import ListBag, spec_of
from tests.oracles import shop
from tests.oracles.shop import T
from tests.outcome import Row
from tests.transforms.stage import Stage, Timer, rows_of, tagged
from tests.transforms.streaming import one
from transforms.coders import whole
from transforms.core.reached import reached
from transforms.ending import CutAtEnd


def small(**changes: Any) -> Spec:
    written = shop.spec_of(horizon="500ms", **changes)
    del written["sources"]["e"]["end"]
    return spec_of(written)


def view(at: int, **values: Any) -> Row:
    return shop.at(at, **{"i": 1, "a": "VIEW", **values})


def test_there_is_a_timer_for_each_watermark_that_something_may_be_complete_at() -> None:
    spec = small()
    stage = Stage(spec)
    stage.take(one(spec, view(2000), view(5000), view(4999), view(4400)))
    assert stage.timer.sets == [T + 3500, T + 6000, T + 6500]
    assert stage.timer.tags == [
        str(at) for at in stage.timer.sets
    ]  # none is set in another's place


def test_where_the_watermark_is_known_one_timer_does_for_all_that_is_past() -> None:
    spec = small()
    stage = Stage(spec)
    batch = reached(whole(one(spec, view(0), view(2000), view(5000))), T + 5900)
    stage.take(pa.Table.from_batches([batch]))
    assert stage.timer.sets == [T + 5500, T + 6500]


def test_a_shard_fires_once_for_all_that_has_come_due() -> None:
    spec = small()
    stage = Stage(spec)
    stage.take(one(spec, view(0), view(2000)))
    for at in (1500, 3500, 2500):
        assert stage.come_due(T + at) == []
    assert stage.due.value == T + 3500
    assert len(rows_of(stage.cut_now())) == 2
    assert stage.final.value == T + 3000
    assert stage.due.value is None
    assert stage.cut_now() == []  # a timer of the clock that is fired again


def test_a_shard_that_has_just_fired_waits_for_a_while() -> None:
    stage = Stage(small())
    stage.come_due(T)
    assert stage.cuts.sets == [0]  # at once
    stage.come_due(T + 500)
    assert len(stage.cuts.sets) == 1  # the shard will fire for both
    stage.cut_now()
    stage.cut._pace.fired(0, 0, 1.0)
    now = time.time() * 1000
    stage.come_due(T + 1000)
    assert 500 < stage.cuts.sets[1] - now < 4500  # four times a mean with the firing before


def test_what_is_not_complete_waits_on_and_the_timer_with_it() -> None:
    spec = small()
    stage = Stage(spec)
    stage.take(one(spec, view(0), view(900), view(4000, i=2)))
    given = stage.fire(T + 1500)
    assert rows_of(given) == []
    assert stage.waits() == [0, 900, 4000]
    assert stage.final.value == T + 1000
    assert stage.timer.sets[-1] == T + 2000  # as though its own were lost
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
    assert [each.tag for each in stage.fire(T + 18_000)] == ["statistics"]
    (held,) = stage.bags["held"].read()
    assert held.num_rows == 0
    assert not any(bag.chunks for bag in (stage.bags["recent"], *stage.cells.values()))
    assert stage.bags["waiting"].chunks == []
    assert len(stage.timer.sets) == 2
    assert stage.final.value == T + 17_500  # what comes up to there is late still


def test_without_a_retention_nobody_is_forgotten_and_no_timer_is_set_for_it() -> None:
    stage = Stage(small())
    stage.take(one(stage.spec, view(0)))
    stage.fire(T + 1500)
    (held,) = stage.bags["held"].read()
    assert held["user"].to_pylist() == ["u"]
    assert len(stage.timer.sets) == 1


def test_bounded_input_is_cut_once_at_the_end_of_time() -> None:
    spec = small()
    stage, waiting, end = CutAtEnd(spec), ListBag(), Timer()
    for at in (9000, 0, 1):
        stage.process((0, whole(one(spec, view(at)))), waiting=waiting, end=end)
    assert set(end.sets) == {GlobalWindow().max_timestamp().micros // 1000}
    given = [*stage.cut(waiting=waiting)]
    assert sorted(row["new_contents"] for row in rows_of(given)) == [1, 2]
    assert waiting.chunks == []


def test_a_firing_without_rows_gives_nothing_but_that_it_was() -> None:
    stage = Stage(small())
    (only,) = stage.fire(T)
    assert (only.tag, only.value["measure"].to_pylist()) == ("statistics", ["firings"])
    assert stage.due.value is None
