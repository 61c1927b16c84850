"""Where a reader stands: its coder, and the contract of its tracker."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from kafka_client.clients import Connection
from pipeline.kafka.reading import (
    Reading,
    ReadingCoder,
    ReadingTracker,
    Reported,
    check_reading,
    place_of,
    split_place,
    start_of,
)
from pipeline.kafka.source import Reads, ReadUnbounded, _numbers
from pipeline.kafka.starting import Start
from tests.machine import spec_of
from tests.oracles import shop
from transforms.coders import OBSERVATIONS
from transforms.core.growth import StateRefused
from transforms.core.late import BEFORE_ALL

COUNTS = st.dictionaries(st.sampled_from(["a/0", "a/1", "ü/0"]), st.integers(-(2**62), 2**62))


@given(COUNTS, st.one_of(st.none(), COUNTS), COUNTS, COUNTS, st.integers(-(2**62), 2**62))
def test_a_reading_comes_back_from_its_bytes(
    offsets: dict[str, int],
    stops: dict[str, int] | None,
    newest: dict[str, int],
    heard: dict[str, int],
    watermark: int,
) -> None:
    reading = Reading(offsets, stops, newest, heard, watermark)
    coder = ReadingCoder()
    assert coder.decode(coder.encode(reading)) == reading
    turned = Reading(dict(reversed(offsets.items())), stops, newest, heard, watermark)
    assert coder.encode(turned) == coder.encode(reading)
    assert coder.is_deterministic()


@pytest.mark.parametrize(("topic", "partition"), [("views", 0), ("a.b-c_d", 12)])
def test_a_place_names_a_partition(topic: str, partition: int) -> None:
    assert split_place(place_of(topic, partition)) == (topic, partition)


def test_a_start_holds_back_what_may_still_come() -> None:
    bounded = start_of({"a/0": 0, "a/1": 5}, {"a/0": 3, "a/1": 5})
    assert bounded.newest == {"a/0": BEFORE_ALL}  # a/1 has nothing to give
    assert bounded.left == 3
    unbounded = start_of({"a/0": 0, "a/1": 5}, None)
    assert unbounded.newest == {"a/0": BEFORE_ALL, "a/1": BEFORE_ALL}
    assert unbounded.left == 1


def reading(at: int, stop: int | None = 10) -> Reading:
    return Reading({"a/0": at}, None if stop is None else {"a/0": stop})


def test_claims_move_the_reader_on() -> None:
    tracker = ReadingTracker(reading(0))
    assert tracker.try_claim(reading(4))
    assert tracker.current_restriction() == reading(4)
    with pytest.raises(ValueError, match="6 offsets were not read"):
        tracker.check_done()
    assert tracker.try_claim(reading(10))
    assert tracker.check_done()


def test_a_split_at_0_stops_the_reader_where_it_stands() -> None:
    tracker = ReadingTracker(reading(0))
    tracker.try_claim(reading(4))
    split = tracker.try_split(0)
    assert split is not None
    done, rest = split
    assert (done.stops, done.left) == ({"a/0": 4}, 0)
    assert rest == reading(4)
    assert not tracker.try_claim(reading(6))
    assert tracker.check_done()
    assert tracker.current_restriction() == done
    assert tracker.try_split(0) is None


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_a_reader_is_never_split_in_parts(fraction: float) -> None:
    tracker = ReadingTracker(reading(0, None))
    assert tracker.try_split(fraction) is None
    assert tracker.try_claim(reading(4, None))


def test_an_unbounded_reader_is_done_only_when_it_was_stopped() -> None:
    tracker = ReadingTracker(reading(3, None))
    assert not tracker.is_bounded()
    with pytest.raises(ValueError, match="not read"):
        tracker.check_done()
    split = tracker.try_split(0)
    assert split is not None
    assert split[1].stops is None
    assert tracker.check_done()


def test_progress_is_in_offsets() -> None:
    tracker = ReadingTracker(reading(4))
    progress = tracker.current_progress()
    assert progress.completed_work == pytest.approx(4.0)
    assert progress.remaining_work == 6.0
    # Beam puts the bytes given in the place of what is completed, and these may be NaN.
    assert progress.with_completed(float("nan")).fraction_completed == 0.4
    assert ReadingTracker(reading(10)).is_bounded()


def test_a_job_goes_on_with_as_many_readers_and_no_fewer_topics() -> None:
    reading = replace(start_of({"a/0": 1, "b/1": 2}, None), readers=2)
    check_reading(reading, 2, ["a", "b", "new"])
    with pytest.raises(StateRefused, match="--readers: 2 → 1; start a new job"):
        check_reading(reading, 1, ["a", "b"])
    with pytest.raises(StateRefused, match=r"sources\.b: there → absent"):
        check_reading(reading, 2, ["a"])


def test_what_was_reported_is_kept_as_a_plain_timestamp() -> None:
    coder = Reported().estimator_state_coder()
    at = Timestamp(micros=1_700_000_000_123_000)
    assert coder.encode(None) == b"\x00"
    assert coder.encode(at).hex() == "018000018bcfe5687b"
    assert coder.decode(coder.encode(at)) == at
    assert Reported().create_watermark_estimator(at).current_watermark() == at


def test_each_reader_looks_for_new_partitions_at_once_and_then_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []

    def found(_: Any, number: int, __: Any) -> dict[str, int]:
        looked.append(number)
        return {}

    monkeypatch.setattr(ReadUnbounded, "_found", found)
    connection = Connection.from_url("kafka://127.0.0.1:1", {})
    reads = Reads(spec_of(shop.spec_of()), connection, Start(), bounded=False, readers=2)
    stream, tracker = ReadUnbounded(reads), ReadingTracker(reading(0))
    stream.setup()
    for number in (0, 1, 0, 1):
        stream._discover(number, tracker)
    assert looked == [0, 1]


@pytest.mark.parametrize(("reported", "stamp"), [(None, 99), (98, 99), (99, 99), (100, 100)])
def test_s3_a_batch_holds_the_watermark_short_of_its_earliest_time(
    reported: int | None, stamp: int
) -> None:
    """With L = 0 a timer of that time would release it while the batch is under way."""
    connection = Connection.from_url("kafka://127.0.0.1:1", {})
    stream = ReadUnbounded(Reads(spec_of(shop.spec_of()), connection, Start(), bounded=False))
    batch = pa.RecordBatch.from_pydict({"time": [250, 100, 101]})
    before = None if reported is None else Timestamp(micros=reported * 1000)
    given = stream._stamped((OBSERVATIONS, batch), before, None)
    assert given.timestamp == Timestamp(micros=stamp * 1000)


def test_readers_are_numbered() -> None:
    assert [*_numbers(b"", 3)] == [0, 1, 2]
