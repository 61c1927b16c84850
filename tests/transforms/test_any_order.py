"""S12 on any runner: the stage is right in whatever order chunks and timers come to it."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.machine import decode, spec_of
from tests.outcome import by_id, different_rows, expected
from tests.strategies import Case, cases
from tests.transforms.runner import Runner
from tests.transforms.stage import Stage, rows_of, tagged
from tests.transforms.streaming import arriving
from transforms.core.arrays import ints

Records = list[tuple[str, Any]]


def some(examples: int) -> Callable[[Any], Any]:
    """So many cases."""
    return settings(max_examples=examples, suppress_health_check=[*HealthCheck])


@some(60)
@given(cases(max_records=40), st.sampled_from([0, 300, 3000]), st.randoms(use_true_random=False))
def test_s12_with_one_reader_nothing_is_late_at_a_shard(
    case: Case, horizon: int, random: Random
) -> None:
    spec, records, rows = _accepted(case, horizon)
    arrival = ints(rows["time"]) + np.array([random.randrange(900) for _ in records], np.int64)
    order = np.argsort(arrival, kind="stable")
    seen = np.maximum.accumulate(np.append(-(10**15), ints(rows["time"])[order]))
    late = ints(rows["time"])[order] + horizon <= seen[:-1]  # as a reader tells them
    runner = Runner(Stage(spec_of(spec), 500), random)
    for start in range(0, len(order), 3):
        some_rows = slice(start, start + 3)
        runner.take(rows.take(order[some_rows][~late[some_rows]]), int(seen[some_rows][-1]))
        runner.some(random.randrange(4))
    runner.end()
    assert tagged(runner.given, "late") == []
    _is_right(spec, records, {*order[late].tolist()}, runner)


@some(60)
@given(cases(max_records=40), st.sampled_from([0, 300, 3000]), st.randoms(use_true_random=False))
def test_s12_whatever_a_runner_does_a_record_is_used_or_late(
    case: Case, horizon: int, random: Random
) -> None:
    spec, records, rows = _accepted(case, horizon)
    times = [*ints(rows["time"]).tolist(), 1_700_000_000_000]
    runner = Runner(Stage(spec_of(spec), random.choice([100, 500])), random, unruly=True)
    order = np.array(random.sample(range(len(records)), len(records)), np.int64)
    for start in range(0, len(order), 3):
        ahead = random.choice(times) + random.choice([0, 1, horizon, 1500])
        runner.take(rows.take(order[start : start + 3]), ahead)
        runner.some(random.randrange(5))
    runner.end()
    late = [int(raw) for each in tagged(runner.given, "late") for raw in each["raw"].to_pylist()]
    assert len(set(late)) == len(late)
    _is_right(spec, records, {*late}, runner)


def _accepted(case: Case, horizon: int) -> tuple[Any, Records, pa.Table]:
    """A spec; its records that are accepted; and the observation of each."""
    spec, sources = {**case[0], "horizon": f"{horizon}ms"}, case[1]
    parsed = spec_of(spec)
    records = [
        (name, raw)
        for name, raws in sources.items()
        for raw in raws
        if decode(parsed, {name: [raw]})[0].rows.num_rows
    ]
    rows = arriving(parsed, _by_source(spec, records))
    assert rows.num_rows == len(records)
    return spec, records, rows


def _by_source(spec: Any, records: Records) -> dict[str, list[Any]]:
    return {name: [raw for of, raw in records if of == name] for name in spec["sources"]}


def _is_right(spec: Any, records: Records, late: set[int], runner: Runner) -> None:
    """What was given is what the oracle makes of the records that were not late."""
    rest = [record for number, record in enumerate(records) if number not in late]
    want = expected(spec, _by_source(spec, rest))
    assert different_rows(by_id(rows_of(runner.given), want.tombstones), want.sequences) == []
    assert runner.stage.bags["waiting"].chunks == []


@pytest.mark.parametrize("again", [0, -1, -700])
def test_a_time_that_was_released_stays_so_when_a_timer_fires_again(again: int) -> None:
    case_at = 1_700_000_000_000
    stage = Stage(spec_of(_SPEC), 500)
    record = {"u": "u", "t": case_at, "i": 1}
    stage.take(arriving(stage.spec, {"e": [record]}))
    assert len(rows_of(stage.fire(case_at + 2500))) == 1
    assert rows_of(stage.fire(case_at + 2500 + again)) == []
    assert stage.final.value == case_at + 2000
    given_then = stage.take(arriving(stage.spec, {"e": [{**record, "t": case_at + 2000}]}))
    assert len(tagged(given_then, "late")) == 1


def test_s3_with_no_horizon_what_is_under_way_is_not_late_for_a_timer_of_its_own_time() -> None:
    case_at = 1_700_000_000_000
    runner = Runner(Stage(spec_of({**_SPEC, "horizon": "0s"}), 500), Random(0))
    for number, at in enumerate([case_at, case_at + 1000]):  # the first is due when the second is
        record = {"u": "u", "t": at, "i": number}
        runner.take(arriving(runner.stage.spec, {"e": [record]}), at)
        runner.some(5 * (number == 0))
    runner._come_due()
    runner.some(9)
    runner.end()
    assert tagged(runner.given, "late") == []
    assert [row["new_contents"] for row in rows_of(runner.given)] == [2]


_SPEC = {
    "version": 1,
    "name": "plain",
    "sources": {"e": {"user": "u", "time": "t", "item": "i"}},
    "actions": ["VIEW"],
    "session": {"gap": "1s"},
    "horizon": "500ms",
}
