"""The curve of loss against the horizon, held against a plain loop over the log."""

import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_client.clients import Connection
from pipeline.kafka.arrivals import Arrivals
from pipeline.report.folder import open_folder
from pipeline.report.page import Report, report_of
from schemas.spec import Spec
from tests.conftest import NewTopic
from tests.machine import spec_of
from tests.oracles import shop
from tests.oracles.figures import axis, seconds
from tests.oracles.lateness import Arrival, behind, lost
from tests.oracles.shop import T
from tests.pipeline.messages import Message, message, send
from tests.pipeline.report.test_numbers import folder_with, table
from tests.pipeline.running import run_in
from tests.pipeline.test_kafka_arrivals import gathered_of
from tests.pipeline.test_kafka_source import shop_of, url
from transforms.core.late import Watermark

HORIZON, IDLE = 2_000, 10_000
PARTITIONS = [("e", 0), ("e", 1), ("f", 0)]
DELAYS = [0, 0, 0, 1, 999, 1_000, 1_001, 2_000, 2_001, 7_000, 70_000, 4_000_000]
Log = list[tuple[int, int, int, bool, bool]]
LOGS = st.lists(
    st.tuples(
        st.integers(0, 2),  # the partition
        st.sampled_from([0, 1, 400, 1_000, IDLE, IDLE + 1]),  # after the record before it
        st.sampled_from(DELAYS),
        st.integers(0, 9).map(lambda n: n == 0),  # whether it is no record
        st.booleans(),  # whether a batch ends here
    ),
    min_size=1,
    max_size=40,
)


def view(time: int, number: int) -> dict[str, Any]:
    return shop.at(time, i=1, a="VIEW", id=f"{number}")


def of_two_sources() -> Spec:
    e = shop.spec_of()["sources"]["e"]
    idle = {"skew": "1h", "idle": f"{IDLE}ms"}
    return spec_of(shop.spec_of(sources={"e": e, "f": e}, horizon=f"{HORIZON}ms", watermark=idle))


def check(told: Report, came: list[tuple[str, int]], horizon: int) -> None:
    """The curve, by source and of all, its axis, and what was late."""
    curve = table(told, "Loss against horizon")
    needed = [seconds(max(ms + 1, 0)) for _, ms in came]
    assert curve.column("Horizon") == axis(max(needed))
    sources = {source for source, _ in came}
    assert {column.name for column in curve.columns} == {"Horizon", "All", *sources}
    for bound in curve.column("Horizon"):
        at = curve.column("Horizon").index(bound)
        assert curve.column("All")[at] == pytest.approx(lost(came, bound))
        for source in sources:
            assert curve.column(source)[at] == pytest.approx(lost(came, bound, source))
    late = sum(ms >= horizon for _, ms in came)
    assert next(fact.value for fact in told.facts if fact.name == "Late") == late
    section = next(section for section in told.sections if section.anchor == "late")
    assert f" {late:,} records were late, " in section.answer


@settings(max_examples=80)
@given(LOGS)
def test_the_curve_of_any_log_is_that_of_a_loop(log: Log) -> None:
    spec, mark, clock = of_two_sources(), Watermark(IDLE), 0
    for source, number in PARTITIONS:
        mark.add(f"{source}/{number}", T)
    arrivals, tables, batch = Arrivals(spec, sole=True), [], []
    plain: list[Arrival] = []
    for n, (place, wait, delay, broken, ends) in enumerate(log):
        clock += wait
        partition = PARTITIONS[place]
        each = Message(b"{", clock) if broken else message(view(clock - delay, n), at=clock)
        each.partition, each.offset = partition[1], n
        batch.append((f"{partition[0]}/{partition[1]}", each))
        plain.append(Arrival(partition, T + clock, None if broken else T + clock - delay))
        if ends or n == len(log) - 1:
            given = arrivals.take(gathered_of(batch), mark)
            tables += [pa.Table.from_batches([rows]) for tag, rows in given if tag == "statistics"]
            batch = []
    came = behind(plain, PARTITIONS, IDLE)
    if came:
        with tempfile.TemporaryDirectory() as name:
            folder = folder_with(Path(name), spec, {"statistics": pa.concat_tables(tables)})
            check(report_of(open_folder(folder)), came, HORIZON)


@pytest.mark.kafka
def test_the_curve_of_a_run_from_kafka_is_that_of_a_loop(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    """A thousand records in two partitions, some of them late. A bounded run holds nothing back
    for a partition in which there is nothing."""
    e, x, random = new_topic(2), new_topic(1), Random(5)
    idle = {"skew": "1h", "idle": f"{IDLE}ms"}
    written = shop_of(e, x, horizon=f"{HORIZON}ms", watermark=idle)
    messages, plain = [], []
    for n in range(1_000):
        partition, at = random.randrange(2), 137 * n
        time = at - random.choice(DELAYS)
        messages.append(message(view(time, n), at=at, partition=partition))
        plain.append(Arrival((e, partition), T + at, T + time))
    send(kafka, e, messages)
    ran = run_in(written, url(kafka), tmp_path / "out")
    came = behind(plain, [(e, 0), (e, 1)], IDLE)
    assert len(ran.late()) == sum(ms >= HORIZON for _, ms in came) > 50
    check(report_of(open_folder(ran.folder)), came, HORIZON)
