"""The workloads are what they say: seeded, in order, read by their spec without a reject."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks.one_shard import filled, new_sessions, spec_with
from benchmarks.profile_run import place_of, stage_of
from benchmarks.workloads import Workload, json_lines, sized, spec_of, tables
from tests.machine import as_texts, decode
from tests.machine import spec_of as parsed


@pytest.mark.parametrize("contents", [2, 8, 40])
def test_the_shape_of_a_workload(contents: int) -> None:
    made = tables(sized(contents, 40_000))
    views, likes = made["views"].num_rows, made["likes"].num_rows
    assert views + likes == pytest.approx(40_000, rel=0.3)
    assert likes / views == pytest.approx(0.25, rel=0.1)
    for table in made.values():
        assert (np.diff(np.asarray(table["ts"])) >= 0).all()
        assert pc.count_distinct(table["event_id"]).as_py() < table.num_rows


def test_the_seed_makes_it() -> None:
    first, again = (tables(Workload(8, 20)) for _ in range(2))
    assert first["views"].equals(again["views"])
    assert not first["views"].equals(tables(Workload(8, 20, seed=1))["views"])


def test_every_record_is_accepted() -> None:
    made = tables(Workload(8, 10))
    spec = parsed(spec_of("json", sampling=512))
    for part, table in zip(
        decode(spec, {name: as_texts(json_lines(table)) for name, table in made.items()}),
        made.values(),
        strict=True,
    ):
        assert part.rejected.num_rows == 0
        assert part.rows.num_rows == table.num_rows


def test_lines_are_the_records() -> None:
    table: pa.Table = tables(Workload(8, 3))["likes"]
    assert [json.loads(line) for line in json_lines(table)] == table.to_pylist()


def test_a_filled_shard_emits_the_histories_it_was_filled_with() -> None:
    shard = filled(spec_with(4096, None), contents=4, users=10, history=100, firings=3)
    assert shard.history_bytes > 0
    for number in range(2):
        rows, final = new_sessions(shard.spec, 4, 5, number)
        fired = shard.fire(rows, final)
        assert fired.sessions == fired.sequences == 5
        assert fired.tokens > 5 * 2 * 60
    assert shard.waiting.size == 0


def test_samples_are_told_by_stage() -> None:
    assert stage_of("transforms/core/decode/table") == "decode"
    assert stage_of("transforms/core/order") == "cut"
    assert stage_of("tests/machine") == ""
    assert place_of(None) == ""
