"""S3: the watermark of a job, record by record, held against a loop; and what late rows keep."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.outputs import LATE
from tests.machine import spec_of
from tests.oracles import shop
from tests.transforms.streaming import arriving
from transforms.core.arrays import Ints, ints
from transforms.core.late import BEFORE_ALL, Watermark, late_rows

IDLE = 60


@dataclass
class Plain:
    """S3 in a loop: a record at a time."""

    newest: dict[str, int] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    clock: int = BEFORE_ALL
    job: int = BEFORE_ALL

    def before(self, arrival: int) -> int:
        """The job's watermark when a record comes, before it counts itself."""
        if self.clock == BEFORE_ALL:
            self.heard = {place: max(at, arrival) for place, at in self.heard.items()}
        self.clock = max(self.clock, arrival)
        alive = [t for p, t in self.newest.items() if self.clock - self.heard[p] <= IDLE]
        self.job = max(self.job, min(alive or [max(self.newest.values())]))
        return self.job

    def take(self, partition: str, time: int) -> None:
        if time > BEFORE_ALL:
            self.newest[partition] = max(self.newest[partition], time)
            self.heard[partition] = max(self.heard[partition], self.clock)


PLACES = ["a", "b", "c"]
Record = tuple[int, int, int, bool]
RECORDS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.one_of(st.just(BEFORE_ALL), st.integers(0, 300)),
        st.integers(-30, 40),  # after the record before it; Kafka's timestamps may go back
        st.booleans(),  # whether a batch ends here
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=400)
@given(st.sets(st.sampled_from(PLACES), min_size=1), RECORDS)
def test_s3_the_watermark_before_each_record_is_that_of_a_loop(
    empty: set[str], records: list[Record]
) -> None:
    ours, plain = Watermark(IDLE), Plain()
    for place in sorted({PLACES[record[0]] for record in records} | empty):
        ours.add(place, 0)
        plain.newest[place], plain.heard[place] = BEFORE_ALL, 0
    arrival = np.cumsum([record[2] for record in records])
    batch: list[int] = []
    for at, (*_, ends) in enumerate(records):
        batch.append(at)
        if ends or at == len(records) - 1:
            _check_batch(ours, plain, [records[i] for i in batch], arrival[batch])
            batch = []


def _check_batch(ours: Watermark, plain: Plain, records: list[Record], arrival: Ints) -> None:
    want = []
    for (which, time, _, _), came in zip(records, arrival.tolist(), strict=True):
        want.append(plain.before(came))
        plain.take(PLACES[which], time)
    which, time = np.array([record[:2] for record in records], np.int64).T
    assert ours.before(PLACES, which, time, arrival).tolist() == want
    assert (ours.newest, ours.heard, ours.clock) == (plain.newest, plain.heard, plain.clock)
    assert ours.advance(int(arrival[-1])) == plain.before(int(arrival[-1]))


def before(watermark: Watermark, *records: tuple[str, int, int]) -> list[int]:
    """The watermark before each of the records (partition, event time, arrival)."""
    names = sorted({name for name, _, _ in records})
    which = np.array([names.index(name) for name, _, _ in records])
    time, arrival = np.array([record[1:] for record in records], np.int64).T
    found: list[int] = watermark.before(names, which, time, arrival).tolist()
    return found


def of(*places: str) -> Watermark:
    watermark = Watermark(IDLE)
    for place in places:
        watermark.add(place, 0)
    return watermark


def test_s3_one_partition_is_as_far_as_its_largest_time() -> None:
    found = before(of("a"), ("a", 10, 0), ("a", 5, 1), ("a", 20, 2), ("a", 1, 3))
    assert found == [BEFORE_ALL, 10, 10, 20]


def test_s3_the_job_is_as_far_as_the_least_of_its_partitions() -> None:
    records = [("a", 10, 0), ("a", 20, 1), ("b", 5, 2), ("b", 50, 3), ("a", 1, 4)]
    assert before(of("a", "b"), *records) == [BEFORE_ALL, BEFORE_ALL, BEFORE_ALL, 5, 20]


def test_s3_a_partition_that_never_spoke_holds_back_until_it_is_idle() -> None:
    records = [("a", 10, 0), ("a", 20, IDLE), ("a", 30, IDLE + 1)]
    assert before(of("a", "b"), *records) == [BEFORE_ALL, BEFORE_ALL, 20]


def test_s3_a_partition_that_speaks_again_does_not_take_the_watermark_back() -> None:
    watermark = of("a", "b")
    before(watermark, ("b", 3, 0), ("a", 100, 1), ("a", 110, IDLE + 1))
    assert watermark.advance(IDLE + 1) == 110
    assert before(watermark, ("b", 4, IDLE + 2), ("b", 200, IDLE + 3)) == [110, 110]
    assert watermark.advance(IDLE + 3) == 110
    assert before(watermark, ("a", 150, IDLE + 4), ("a", 1, IDLE + 5)) == [110, 150]


def test_s3_while_all_are_silent_the_largest_counts() -> None:
    watermark = of("a", "b")
    before(watermark, ("a", 10, 0), ("b", 20, 1))
    assert watermark.advance(IDLE) == 10
    assert watermark.advance(IDLE + 1) == 20
    assert watermark.advance(10 * IDLE) == 20


def test_s3_what_has_no_event_time_keeps_no_partition_awake() -> None:
    watermark = of("a", "b")
    tombstones = [("b", BEFORE_ALL, at) for at in range(0, IDLE + 1, 10)]
    before(watermark, ("a", 10, 0), *tombstones, ("a", 20, IDLE))
    assert watermark.job == BEFORE_ALL
    assert before(watermark, ("b", BEFORE_ALL, IDLE + 1), ("a", 30, IDLE + 2)) == [20, 20]


def test_s3_nothing_is_silent_at_the_beginning_of_a_log() -> None:
    year = 365 * 86_400_000
    records = [("a", 10, year), ("b", 5, year + IDLE), ("a", 30, year + IDLE)]
    assert before(of("a", "b"), *records) == [BEFORE_ALL, BEFORE_ALL, 5]


def test_s3_the_clock_does_not_go_back_from_batch_to_batch() -> None:
    """Kafka's timestamps need not ascend; how they are cut into batches must not tell."""
    records = [("a", 10, 0), ("b", 5, 0), ("a", 30, IDLE + 1), ("a", 40, 1), ("a", 50, 2)]
    whole, cut = of("a", "b"), of("a", "b")
    assert before(whole, *records) == [before(cut, record)[0] for record in records]


def test_late_rows_keep_what_is_known_of_a_record() -> None:
    spec = spec_of(shop.spec_of())
    rows = arriving(spec, {"x": [{"u": "a", "t": shop.T}], "e": [shop.at(1, i=1, a="VIEW")]})
    for name, numbers in (("partition", [0, 3]), ("offset", [7, 2**40])):
        at = rows.schema.get_field_index(name)
        kind = rows.schema.field(at)
        rows = rows.set_column(at, kind, pa.array(numbers, kind.type))
    late = late_rows(rows, spec)
    assert late.schema.equals(LATE)
    assert late["source"].to_pylist() == ["x", "e"]
    assert late["partition"].to_pylist() == [0, 3]
    assert late["offset"].to_pylist() == [7, 2**40]
    assert late["raw"].to_pylist() == [b"0", b"1"]
    assert ints(late["event_time"].cast(pa.int64())).tolist() == [shop.T, shop.T + 1]
    assert set(late["reason"].to_pylist()) == {"behind_watermark"}
