"""S3: the watermark by the records that arrive, and which of them are late."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transforms.core.decode.reading import T, line, read, shop, texts
from transforms.core.late import BEFORE_ALL, Watermark, is_late, late_rows


@pytest.mark.parametrize(("watermark", "late"), [(1099, False), (1100, True), (1101, True)])
def test_s3_late_is_what_comes_when_its_time_and_the_horizon_are_reached(
    watermark: int, late: bool
) -> None:
    assert is_late(np.array([1000]), watermark, 100).tolist() == [late]
    assert is_late(np.array([1000, 2000]), np.array([watermark] * 2), 100).tolist() == [late, False]


def test_s3_nothing_is_late_before_anything_was_accepted() -> None:
    assert not is_late(np.array([-(10**12)]), BEFORE_ALL, 100).any()


Arrival = tuple[int, int, int]  # partition, event time, wait since the arrival before


class Plain:
    """A watermark by a loop over the records."""

    def __init__(self, idle: int, partitions: int) -> None:
        self.idle, self.job, self.clock = idle, BEFORE_ALL, 0
        self.begun = False
        self.newest = dict.fromkeys(range(partitions), BEFORE_ALL)
        self.heard = dict.fromkeys(range(partitions), 0)

    def before(self, partition: int, time: int, wait: int) -> int:
        self.clock += wait
        if not self.begun:  # nobody has been silent before the first arrival of all
            self.heard, self.begun = dict.fromkeys(self.heard, self.clock), True
        active = [self.newest[p] for p in self.newest if self.clock - self.heard[p] <= self.idle]
        self.job = max(self.job, min(active) if active else max(self.newest.values()))
        self.newest[partition] = max(self.newest[partition], time)
        self.heard[partition] = self.clock
        return self.job


ARRIVALS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 20), st.sampled_from([0, 0, 1, 5, 6, 7])),
    min_size=1, max_size=14,
)  # fmt: skip


@given(ARRIVALS, st.integers(1, 14), st.integers(0, 6))
def test_s3_the_least_of_the_partitions_that_are_not_idle_and_never_back(
    arrivals: list[Arrival], size: int, idle: int
) -> None:
    names = ["a", "b", "c"]
    plain, one = Plain(idle, 3), Watermark(idle)
    for name in names:
        one.add(name, 0)
    want = [plain.before(*arrival) for arrival in arrivals]
    clock = np.cumsum([wait for _, _, wait in arrivals])
    which, time, _ = np.array(arrivals).T
    got: list[Any] = []
    for start in range(0, len(arrivals), size):
        part = slice(start, start + size)
        got += one.before(names, which[part], time[part], clock[part]).tolist()
    assert got == want
    assert got == sorted(got)


def test_s3_records_that_move_nothing_do_not_move_it() -> None:
    one = Watermark(100)
    one.add("a", 0)
    time = np.array([50, BEFORE_ALL, 60])
    got = one.before(["a"], np.zeros(3, np.int64), time, np.zeros(3, np.int64))
    assert got.tolist() == [BEFORE_ALL, 50, 50]
    assert one.advance(0) == 60


def test_s3_a_late_record_is_kept_with_its_reason_and_raw_bytes() -> None:
    done = read(texts(line(i=1)))
    rows = done.rows.set_column(
        done.rows.schema.get_field_index("raw"), done.rows.schema.field("raw"), [[b"as it came"]]
    )
    (row,) = late_rows(rows, shop().spec).to_pylist()
    assert (row["source"], row["reason"], row["raw"]) == ("e", "behind_watermark", b"as it came")
    assert row["event_time"].timestamp() * 1000 == T
