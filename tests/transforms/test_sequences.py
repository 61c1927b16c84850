"""`Sequences` over a stream: many firings give what one bounded run gives (S3, S8, S12)."""

from random import Random

import numpy as np
import pyarrow as pa
import pytest

from schemas.outputs import output_schemas
from schemas.spec import Spec as Parsed
from tests.machine import plain, spec_of
from tests.oracles import shop
from tests.oracles.shop import T
from tests.outcome import Row, by_id, different_rows, expected
from tests.pipeline.running import drawn
from tests.strategies.crowds import Sources, crowd, crowd_parts
from tests.strategies.specs import Spec, specs
from tests.transforms.streaming import Outputs, Step, arriving, one, streamed
from transforms.core.arrays import ints

HORIZON = 2_000


def crowd_of(number: int) -> tuple[Spec, Sources]:
    spec = {**drawn(specs(), 9)[6 + number], "horizon": f"{HORIZON}ms"}
    return spec, crowd(spec, drawn(crowd_parts(spec), 24)[8:])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "interval"), [(0, 400), (1, 5_000), (2, 1_100)])
def test_s12_a_stream_gives_what_bounded_input_gives(number: int, interval: int) -> None:
    spec, sources = crowd_of(number)
    parsed, want = spec_of(spec), expected(spec, sources)
    rows = arriving(parsed, sources)
    steps = [*_within_the_horizon(rows, Random(number))]
    outputs = streamed(parsed, steps, shards=1 + number * 7, interval=interval)
    assert outputs["late"] == []
    assert _tombstones(outputs) == want.tombstones
    got = by_id(_rows(outputs), want.tombstones)
    assert different_rows(got, want.sequences) == []
    assert len(outputs["sequences"]) > 3  # there was more than the firing at the end


def _within_the_horizon(rows: pa.Table, random: Random) -> list[Step]:
    """Rows as they may arrive, with the watermark as far on as none of them is late."""
    time = ints(rows["time"])
    arrival = time + np.array([random.randrange(HORIZON) for _ in range(len(time))])
    order = np.argsort(arrival, kind="stable")
    cuts = sorted(random.sample(range(1, len(order)), 10))
    steps: list[Step] = []
    reached = 0
    for start, stop in zip([0, *cuts], [*cuts, len(order)], strict=True):
        steps.append(rows.take(order[start:stop]))
        left = time[order[stop:]]
        if len(left) and left.min() + HORIZON - 1 > reached:
            reached = int(left.min()) + HORIZON - 1
            steps.append(reached)
    return steps


def _rows(outputs: Outputs) -> list[Row]:
    return [row for batch in outputs["sequences"] for row in plain(batch)]


def _tombstones(outputs: Outputs) -> set[tuple[str, int]]:
    table = pa.Table.from_batches(outputs["tombstones"]) if outputs["tombstones"] else None
    if table is None:
        return set()
    times = table["time"].cast(pa.int64()).to_pylist()
    return set(zip(table["user_id"].to_pylist(), times, strict=True))


def small() -> Parsed:
    return spec_of(shop.spec_of(horizon="500ms"))


def view(time: int, item: int) -> Row:
    return shop.at(time, i=item, a="VIEW")


def test_s8_a_session_is_given_when_nothing_can_join_it_and_not_before() -> None:
    spec = small()
    complete = T + 1000 + 500  # G + L after its last engagement
    early = streamed(spec, [one(spec, view(0, 1)), complete - 1, one(spec, view(1000, 2))], 1)
    assert [row["new_contents"] for row in _rows(early)] == [2]
    after = streamed(spec, [one(spec, view(0, 1)), complete, one(spec, view(1001, 2))], 1)
    assert [row["new_contents"] for row in _rows(after)] == [1, 1]


def test_s3_what_comes_after_its_time_was_released_is_late_at_the_shard() -> None:
    spec = small()
    first, late, last = one(spec, view(0, 1)), one(spec, view(700, 2)), one(spec, view(5000, 3))
    outputs = streamed(spec, [first, T + 3000, late, last], 1, 100)
    (batch,) = outputs["late"]
    (row,) = batch.to_pylist()
    assert (row["reason"], row["source"], row["raw"]) == ("behind_watermark", "e", b"0")
    assert batch["event_time"].cast(pa.int64()).to_pylist() == [T + 700]
    tokens = [shop.tokens_of(row) for row in _rows(outputs)]
    assert all((0, 2, 700) not in row for row in tokens)
    counted = [row for each in outputs["statistics"] for row in each.to_pylist()]
    assert [row["value"] for row in counted if row["measure"] == "late"] == [1.0]


def test_s13_an_erasure_forgets_what_waits_and_what_was_given() -> None:
    spec = small()
    erased = one(spec, {"u": "u", "t": T + 4000}, source="x")
    steps: list[Step] = [
        one(spec, view(0, 1)), T + 3000, one(spec, view(3500, 2)), erased, T + 6000,
        one(spec, view(7000, 3)),
    ]  # fmt: skip
    outputs = streamed(spec, steps, 1, 100)
    assert _tombstones(outputs) == {("u", T + 4000)}
    rows = sorted(_rows(outputs), key=lambda row: int(row["session_end"]))
    assert [shop.tokens_of(row) for row in rows] == [
        [(0, 1, 0), (1, 1, 0)],
        [(0, 3, 7000), (1, 1, 7000)],
    ]


def test_every_output_has_the_schema_it_is_written_with() -> None:
    spec = small()
    schemas = output_schemas(spec)
    for name, batches in streamed(spec, [one(spec, view(0, 1))], 1).items():
        assert all(batch.schema.equals(schemas[name], check_metadata=True) for batch in batches)
