"""A gathered batch of messages: what is late, what erases, what is rejected (S3, S13)."""

from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.kafka.arrivals import Arrivals
from pipeline.kafka.merging import Gathered
from pipeline.kafka.reading import ReadingCoder, start_of
from schemas.spec import Spec
from tests.machine import spec_of
from tests.oracles import shop
from tests.oracles.shop import T
from tests.outcome import Row
from tests.pipeline.bombs import arrow_dictionary
from tests.pipeline.messages import Message, arrow, message
from transforms.coders import OBSERVATIONS
from transforms.core.late import BEFORE_ALL, Watermark

HORIZON, SKEW, IDLE = 500, 2_000, 10_000


def gathered_of(pairs: list[tuple[str, Message]]) -> Gathered:
    """Records with their partitions, in the order of their arrival."""
    places = sorted({place for place, _ in pairs})
    which = np.array([places.index(place) for place, _ in pairs], np.int64)
    clock = np.maximum.accumulate([each.timestamp for _, each in pairs])
    return Gathered(places, which, [each for _, each in pairs], clock)


def spec(**changes: Any) -> Spec:
    watermark = {"skew": f"{SKEW}ms", "idle": f"{IDLE}ms"}
    return spec_of(shop.spec_of(**{"horizon": f"{HORIZON}ms", "watermark": watermark, **changes}))


def view(time: int, **values: Any) -> Row:
    return shop.at(time, i=1, a="VIEW", **values)


def watermark(*partitions: int) -> Watermark:
    found = Watermark(IDLE)
    for partition in partitions or (0,):
        found.add(f"e/{partition}", T)
    return found


def arrived(
    messages: list[Message], mark: Watermark, sole: bool = True, topic: str = "e", **changes: Any
) -> dict[str, list[Row]]:
    """The rows of each tag that messages of one topic give."""
    arrivals = Arrivals(spec(**changes), sole)
    gathered = gathered_of([(f"{topic}/{each.partition}", each) for each in messages])
    found: dict[str, list[Row]] = {}
    for tag, batch in arrivals.take(gathered, mark):
        found.setdefault(tag, []).extend(batch.to_pylist())
    return found


def times(found: dict[str, list[Row]]) -> list[int]:
    return [row["time"] - T for row in found.get(OBSERVATIONS, [])]


@pytest.mark.parametrize(("behind", "late"), [(HORIZON, True), (HORIZON - 1, False)])
def test_s3_a_record_is_late_where_the_watermark_reached_its_time_and_the_horizon(
    behind: int, late: bool
) -> None:
    messages = [message(view(1000), offset=4), message(view(1000 - behind), at=1000, offset=5)]
    found = arrived(messages, watermark())
    assert len(found.get("late", [])) == late
    assert times(found) == [1000] if late else [1000, 1000 - behind]
    if late:
        (row,) = found["late"]
        assert (row["source"], row["partition"], row["offset"]) == ("e", 0, 5)
        assert (row["raw"], row["reason"]) == (messages[1].value, "behind_watermark")
        assert row["event_time"].timestamp() * 1000 == T + 1000 - HORIZON
        assert [r["value"] for r in found["statistics"] if r["measure"] == "late"] == [1.0]


def test_s3_the_least_of_the_partitions_counts() -> None:
    messages = [
        message(view(1000), partition=0),
        message(view(0), at=1000),  # partition 1 has said nothing: nothing is late
        message(view(600), at=1001, partition=1),
        message(view(101), at=1002),
        message(view(100), at=1003),
    ]
    found = arrived(messages, watermark(0, 1))
    assert times(found) == [1000, 0, 600, 101]
    assert [row["raw"] for row in found["late"]] == [messages[4].value]


def test_s3_a_silent_partition_holds_back_until_kafkas_clock_says_it_is_idle() -> None:
    mark = watermark(0, 1)
    messages = [
        message(view(1000)),
        message(view(0), at=1000 + IDLE),
        message(view(0, id="again"), at=1000 + IDLE + 1),
    ]
    found = arrived(messages, mark)
    assert times(found) == [1000, 0]
    assert len(found["late"]) == 1
    assert mark.job == T + 1000


def test_s3_a_record_ahead_of_the_clock_is_rejected_and_moves_no_watermark() -> None:
    mark = watermark()
    good, bad = message(view(SKEW), at=0), message(view(SKEW + 1), at=0, offset=1)
    found = arrived([bad], mark)
    assert [row["reason"] for row in found["rejected"]] == ["ahead_of_clock"]
    assert [row["raw"] for row in found["rejected"]] == [bad.value]
    assert mark.job == BEFORE_ALL
    assert times(arrived([good], mark)) == [SKEW]
    assert mark.job == T + SKEW


def test_rejected_and_filtered_records_move_no_watermark() -> None:
    mark = watermark()
    sources = shop.spec_of()["sources"]
    sources["e"]["where"] = {"field": "a", "in": ["LIKE"]}
    messages = [message(view(900)), message(b"{"), message({**view(950), "u": None})]
    found = arrived(messages, mark, sources=sources)
    assert times(found) == []
    assert mark.job == BEFORE_ALL


def test_a_partition_that_gives_only_rejects_is_idle_in_the_end() -> None:
    mark = watermark(0, 1)
    arrived([message(b"{", at=at, partition=1) for at in range(0, IDLE, 1000)], mark)
    arrived([message(view(100), at=IDLE)], mark)
    assert mark.job == BEFORE_ALL
    arrived([message(b"{", at=IDLE + 1, partition=1)], mark)
    assert mark.job == T + 100


def test_s13_a_tombstone_erases_at_its_kafka_timestamp_and_moves_no_watermark() -> None:
    mark = watermark()
    found = arrived([Message(None, 700, key="ü".encode(), offset=9)], mark)
    (row,) = found[OBSERVATIONS]
    assert (row["user"], row["time"], row["erase"]) == ("ü", T + 700, True)
    assert (row["partition"], row["offset"]) == (0, 9)
    assert mark.job == BEFORE_ALL


@pytest.mark.parametrize("sole", [True, False])
def test_s3_a_tombstone_may_be_late_too_and_says_whom_it_was_to_erase(sole: bool) -> None:
    messages = [message(view(1000)), Message(None, 1000 - HORIZON, key="ü".encode())]
    found = arrived(messages, watermark(), sole)
    if not sole:
        assert [row["raw"] for row in found[OBSERVATIONS] if row["erase"]] == ["ü".encode()]
        return
    assert times(found) == [1000]
    (row,) = found["late"]
    assert row["raw"] == "ü".encode()
    assert row["reason"] == "behind_watermark"


def test_s3_what_a_shorter_horizon_released_is_late_with_its_bytes_under_a_longer_one() -> None:
    begun = start_of({"e/0": 0}, None)
    mark = begun.watermarks(IDLE)
    arrived([message(view(1000))], mark)
    coder = ReadingCoder()
    left = coder.decode(coder.encode(begun.moved({"e/0": 1}, mark, HORIZON)))
    messages = [
        message(view(1000 - HORIZON), at=1000, offset=1),
        message(view(1001 - HORIZON), at=1000, offset=2),
    ]
    found = arrived(messages, left.watermarks(IDLE), horizon="1h")
    assert times(found) == [1001 - HORIZON]
    assert [row["raw"] for row in found["late"]] == [messages[0].value]
    assert left.moved({"e/0": 3}, left.watermarks(IDLE), 3_600_000).released == left.released


@pytest.mark.parametrize("key", [None, b"", b"\xff"])
def test_a_tombstone_without_a_user_is_rejected(key: bytes | None) -> None:
    found = arrived([Message(None, 0, 3, key, 8), message(view(0), partition=3)], watermark(3))
    (row,) = found["rejected"]
    assert (row["reason"], row["raw"]) == ("missing_user", key or b"")
    assert (row["partition"], row["offset"]) == (3, 8)
    assert times(found) == [0]


def test_tombstones_among_records_stand_where_they_came() -> None:
    messages = [
        message(view(0)),
        Message(None, 10, key=b"u"),
        message(b"{", at=11),
        message(view(20)),
        Message(None, 30, key=b"v"),
    ]
    rows = arrived(messages, watermark())[OBSERVATIONS]
    assert sorted((row["time"] - T, row["erase"]) for row in rows) == [
        (0, False), (10, True), (20, False), (30, True)
    ]  # fmt: skip


def test_s3_among_several_readers_the_shard_tells_by_the_raw_bytes() -> None:
    messages = [message(view(1000)), message(view(0), at=1000), message(view(999))]
    found = arrived(messages, watermark(), sole=False)
    assert "late" not in found
    raws = {row["time"] - T: row["raw"] for row in found[OBSERVATIONS]}
    assert raws == {1000: None, 0: messages[1].value, 999: None}


def as_arrow(**more: Any) -> dict[str, Any]:
    sources = shop.spec_of()["sources"]
    sources["e"]["format"] = "arrow"
    return {"sources": sources, **more}


def test_arrow_messages_of_many_rows_are_late_row_by_row() -> None:
    first = Message(arrow([view(time) for time in (0, 1000, 400, 900)]), 1000)
    second = Message(arrow([view(500), view(501, c=[1, 2])]), 1001, offset=1)
    found = arrived([first, second], watermark(), **as_arrow())
    assert times(found) == [0, 1000, 900, 501]
    assert [row["offset"] for row in found["late"]] == [0, 1]
    for row, time in zip(found["late"], (400, 500), strict=True):
        with pa.ipc.open_stream(row["raw"]) as stream:
            assert stream.read_all()["t"].to_pylist() == [T + time]


def test_a_damaged_arrow_message_is_rejected_and_the_rest_goes_through() -> None:
    whole = arrow([view(1), view(2)])
    broken = [Message(whole[:-40], 5, offset=1), Message(b"nonsense", 6, offset=2)]
    messages = [Message(whole, 4), *broken, Message(arrow([view(3)]), 7, offset=3)]
    found = arrived(messages, watermark(), **as_arrow())
    assert times(found)[-1] == 3
    assert {row["offset"] for row in found["rejected"]} == {1, 2}
    assert {row["reason"] for row in found["rejected"]} == {"malformed"}
    assert {row["raw"] for row in found["rejected"]} >= {broken[1].value}


def test_a_message_that_holds_very_much_is_one_reject_and_the_rest_goes_through() -> None:
    bomb = arrow_dictionary(10_000)
    good = [arrow([view(time)]) for time in (0, 1)]
    found = arrived(
        [Message(good[0]), Message(bomb, 1, offset=1), Message(good[1], 1, offset=2)],
        watermark(),
        **as_arrow(),
    )
    assert times(found) == [0, 1]
    (row,) = found["rejected"]
    assert (row["reason"], row["offset"], row["raw"]) == ("too_large", 1, bomb)
    counted = {r["key"]: r["value"] for r in found["statistics"] if r["measure"] == "rejected"}
    assert counted == {"too_large": 1.0}


def test_a_message_of_900_kb_and_one_that_is_too_large() -> None:
    messages = [message(view(0, pad="x" * 900_000)), message(view(1, pad="x" * 1_000_001))]
    found = arrived(messages, watermark())
    assert times(found) == [0]
    assert [row["reason"] for row in found["rejected"]] == ["too_large"]


def test_several_topics_share_one_watermark() -> None:
    mark = Watermark(IDLE)
    for place in ("e/0", "x/0"):
        mark.add(place, T)
    erasure = message({"u": "u", "t": T + 300}, at=1002)
    arrivals = Arrivals(spec(), sole=True)
    gathered = gathered_of(
        [("e/0", message(view(1000))), ("x/0", erasure), ("e/0", message(view(0), at=1003))]
    )
    tags = [tag for tag, batch in arrivals.take(gathered, mark) if batch.num_rows]
    assert mark.job == T + 300
    assert "late" not in tags


def test_batches_of_any_size_tell_the_same_records_late() -> None:
    messages = [message(view((n * 7919) % 3000, id=n), at=n * 10, offset=n) for n in range(200)]
    whole = arrived(messages, watermark())
    mark, offsets = watermark(), []
    for start in range(0, 200, 7):
        found = arrived(messages[start : start + 7], mark)
        offsets += [row["offset"] for row in found.get("late", [])]
    assert offsets == [row["offset"] for row in whole["late"]]
    assert 0 < len(offsets) < 200


def summed(found: dict[str, list[Row]], measure: str) -> dict[Any, float]:
    """The sums of a measure by key, and by origin and position."""
    sums: dict[Any, float] = {}
    for row in found.get("statistics", []):
        if row["measure"] == measure:
            by = (row["key"], row["origin"], row["position"])
            sums[by] = sums.get(by, 0) + row["value"]
    return sums


@pytest.mark.parametrize("number", range(20))
@pytest.mark.parametrize("sole", [True, False])
def test_the_records_above_a_horizon_are_those_that_it_would_lose(number: int, sole: bool) -> None:
    """With any horizon of the list of keys, longer or shorter than that of the run."""
    random = Random(number)
    delays = [0, 1, 100, 101, 499, 500, 501, 1000, 1001, 5000, 70_000]
    behind = [random.choice(delays) for _ in range(40)]
    messages = [message(view(1000 * n - ms), at=1000 * n) for n, ms in enumerate(behind)]
    found = arrived(messages, watermark(), sole)
    needed = summed(found, "horizon_needed")
    assert sum(needed.values()) == 40
    for horizon in (0, 100, 200, 500, 1000, 5000, 60_000, 120_000):
        newest, lost = -(10**9), 0
        for n, ms in enumerate(behind):
            lost += 1000 * n - ms + horizon <= newest
            newest = max(newest, 1000 * n - ms)
        above = [n for (key, *_), n in needed.items() if float(key or 0) * 1000 > horizon]
        assert sum(above) == lost, horizon


def test_counts_are_marked_by_partition_and_first_offset() -> None:
    messages = [
        message(view(1000), partition=3, offset=7),
        message(b"{", at=1000, partition=3, offset=8),
        message(view(0, id="late"), at=1001, partition=1, offset=4),
        message(view(1001), at=1001, partition=1, offset=5),
        Message(None, 1002, 3, b"u", 9),
    ]
    found = arrived(messages, watermark(1, 3))
    assert summed(found, "records") == {(None, "e/1", 4): 2, (None, "e/3", 7): 1}
    assert summed(found, "rejected") == {("malformed", "e/3", 7): 1}
    assert summed(found, "tombstones") == {(None, "e/3", 9): 1}
    sizes = [len(each.value or b"") for each in messages]
    assert summed(found, "bytes") == {
        (None, "e/1", 4): sizes[2] + sizes[3], (None, "e/3", 7): sizes[0] + sizes[1],
    }  # fmt: skip
    assert len({row["written"] for row in found["statistics"]}) == 1


def test_late_records_have_the_marks_of_their_batch() -> None:
    messages = [
        message(view(2000), offset=7),
        message(view(0, id="late"), at=2000, offset=8),
    ]
    found = arrived(messages, watermark())
    assert summed(found, "late") == {(None, "e/0", 7): 1}
    assert summed(found, "records") == {(None, "e/0", 7): 1}
