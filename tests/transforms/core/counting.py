"""Statistics as the code counts them, and as the oracle does, in one form."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from datasketches import update_theta_sketch

from pipeline.analysis.sketches import united
from schemas.observations import observation_schema
from schemas.spec import Spec
from tests.machine import ListBag
from tests.oracles.counting import Counted, Key
from transforms.core.archive import CELLS
from transforms.core.counted_firing import of_firing
from transforms.core.shard import EVER, Fired, Held, Shard
from transforms.core.sketches import LG_K
from transforms.core.statistics import Mark, as_table

Sketches = Mapping[tuple[str, str | None, int], bytes]
NO_TIME = ("rejected",)
OF_THE_WAY = ("firings",)


def fired(spec: Spec, rows: pa.Table, *upto: int, shard: int = 0) -> pa.Table:
    """The counts of a shard's firings over rows, at these times and at the end."""
    one = Shard(spec, Held(), ListBag(), [ListBag() for _ in range(CELLS)])
    waiting = rows.select(observation_schema(spec).names)
    tables: list[pa.Table] = []
    for final in (*upto, EVER):
        done = _done(one, waiting, final)
        waiting = done.waiting
        marks = [Mark(f"shard {shard}", final)]
        tables.append(as_table(of_firing(done.tally, spec), marks, len(tables)))
    return pa.concat_tables(tables)


def _done(shard: Shard, rows: pa.Table, final: int) -> Fired:
    firing = shard.fire(rows, final)
    while True:
        try:
            next(firing)
        except StopIteration as stop:
            done: Fired = stop.value
            return done


def sums_of(table: pa.Table, but: Sequence[str] = NO_TIME) -> defaultdict[Key, float]:
    """All sums, by window but for some measures."""
    sums: defaultdict[Key, float] = defaultdict(float)
    names = ("measure", "source", "feature", "key", "value")
    starts = table["window_start"].cast(pa.int64()).to_pylist()
    columns = (table[name].to_pylist() for name in names)
    for measure, source, feature, key, value, start in zip(*columns, starts, strict=True):
        if value is not None and measure not in OF_THE_WAY:
            sums[measure, source, feature, key, None if measure in but else start] += value
    return sums


def sketches_of(table: pa.Table) -> Sketches:
    """The sketches of each measure, feature and window, united."""
    found: dict[Any, list[bytes]] = defaultdict(list)
    table = table.filter(table["sketch"].is_valid())
    starts = table["window_start"].cast(pa.int64()).to_pylist()
    columns = (table[name].to_pylist() for name in ("measure", "feature", "sketch"))
    for measure, feature, sketch, start in zip(*columns, starts, strict=True):
        found[measure, feature, start].append(sketch)
    return {key: united(each).serialize() for key, each in found.items()}


def differences(table: pa.Table, want: Counted) -> list[str]:
    """Where statistics are not the oracle's."""
    sums = sums_of(table)
    out = [
        f"{key}: {sums[key]} is not {want.sums[key]}"
        for key in sums.keys() | want.sums.keys()
        if abs(sums[key] - want.sums[key]) > 1e-9 * max(1.0, abs(want.sums[key]))
    ]
    got, expected = sketches_of(table), {k: _sketch_of(v) for k, v in want.members.items()}
    both = got.keys() | expected.keys()
    return out + [f"{key}: another set" for key in both if got.get(key) != expected.get(key)]


def _sketch_of(members: set[int]) -> bytes:
    """The sketch that the library makes of a set, member by member."""
    sketch = update_theta_sketch(LG_K)
    for member in members:
        sketch.update(member)
    return bytes(united([sketch.compact().serialize()]).serialize())
