"""Where a reader stands: its coder, and the contract of its tracker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kafka.reading import (
    Reading,
    ReadingCoder,
    ReadingTracker,
    place_of,
    split_place,
    start_of,
)
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
    bounded = start_of({"a/0": 0, "a/1": 5}, {"a/0": 3, "a/1": 5}, 0)
    assert bounded.newest == {"a/0": BEFORE_ALL}  # a/1 has nothing to give
    assert bounded.left == 3
    unbounded = start_of({"a/0": 0, "a/1": 5}, None, 77)
    assert unbounded.heard == {"a/0": 77, "a/1": 77}
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
    assert (progress.completed_work, progress.remaining_work) == (4.0, 6.0)
    assert ReadingTracker(reading(10)).is_bounded()
