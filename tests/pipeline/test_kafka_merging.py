"""The order in which a log is read again: that of Kafka's timestamps, over all partitions."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kafka import merging
from pipeline.kafka.merging import Merging


@dataclass(unsafe_hash=True)
class Message:
    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None


Logs = dict[str, list[Message]]
PLACES = ("t/0", "t/1", "u/0")


def logs_of(timestamps: dict[str, list[int]]) -> Logs:
    return {
        place: [Message(offset, timestamp) for offset, timestamp in enumerate(each)]
        for place, each in timestamps.items()
    }


TIMES = st.lists(st.integers(0, 30), max_size=12)
LOGS = st.fixed_dictionaries(dict.fromkeys(PLACES, TIMES)).map(logs_of)


def arrival_order(logs: Logs) -> list[tuple[str, Message]]:
    """A plain sort by the clock of each partition, the largest timestamp so far; among equals by
    partition, then offset."""
    rows = []
    for place, messages in logs.items():
        clock = 0
        for message in messages:
            clock = max(clock, message.timestamp)
            rows.append((clock, PLACES.index(place), message.offset, place, message))
    return [(place, message) for _, _, _, place, message in sorted(rows, key=lambda row: row[:3])]


@settings(max_examples=300)
@given(LOGS, st.data())
def test_s3_records_come_in_the_order_of_a_plain_sort(logs: Logs, data: st.DataObject) -> None:
    """However the polls cut the log, and in whatever order its partitions were found."""
    merging = Merging(data.draw(st.permutations(PLACES)))
    taken: list[tuple[str, Message]] = []
    left = {place: list(messages) for place, messages in logs.items()}
    while any(left.values()):
        place = data.draw(st.sampled_from([place for place, rest in left.items() if rest]))
        count = data.draw(st.integers(1, len(left[place])))
        chunk, left[place] = left[place][:count], left[place][count:]
        merging.add(place, chunk)
        merging.mark_ended({place: not rest for place, rest in left.items()})
        taken += take(merging)
    taken += take(merging)
    assert len(merging) == 0
    assert taken == arrival_order(logs)


def take(merging: Merging) -> list[tuple[str, Any]]:
    return [*merging.take()]


@settings(max_examples=200)
@given(LOGS)
def test_records_that_are_all_there_come_as_one_plain_sort(logs: Logs) -> None:
    merging = Merging(PLACES)
    for place, messages in logs.items():
        merging.add(place, messages)
    merging.mark_ended(dict.fromkeys(PLACES, True))
    assert take(merging) == arrival_order(logs)


def test_a_partition_that_may_have_more_is_waited_for() -> None:
    merging = Merging(["a", "b"])
    merging.add("a", [Message(0, 5), Message(1, 9)])
    assert take(merging) == []
    merging.add("b", [Message(0, 7)])
    assert take(merging) == [("a", Message(0, 5)), ("b", Message(0, 7))]
    merging.mark_ended({"b": True})
    assert take(merging) == [("a", Message(1, 9))]


def test_a_partition_with_much_waiting_is_full() -> None:
    many = [Message(n, n) for n in range(merging.PAUSE_AT)]
    waiting = Merging(["a", "b"])
    waiting.add("a", many[:-1])
    assert waiting.full == []
    waiting.add("a", many[-1:])
    assert waiting.full == ["a"]
    waiting.mark_ended({"b": True})
    assert len(take(waiting)) == len(many)
    assert waiting.full == []


def test_partitions_found_later_are_merged_too() -> None:
    merging = Merging(["a"])
    merging.add("b", [])
    merging.add("a", [Message(0, 5)])
    assert take(merging) == []
    merging.add("b", [Message(0, 4)])
    assert take(merging) == [("b", Message(0, 4))]
    merging.mark_ended({"b": True})
    assert take(merging) == [("a", Message(0, 5))]
