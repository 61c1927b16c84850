"""The simulated platform's Kafka messages, and the pace at which they go."""

import json

import pyarrow as pa
import pytest

from pipeline.simulate.fates import SOURCES
from pipeline.simulate.files import Form
from pipeline.simulate.messages import ROWS, Message, messages
from pipeline.simulate.pace import Pace
from pipeline.simulate.platform import Platform
from pipeline.simulate.producing import Sending
from pipeline.simulate.stream import arrivals
from pipeline.simulate.truth import Truth

FAULTY = Platform(users=300, days=1, malformed=0.05, erasures=0.1)


def sent(form: Form, tombstones: bool) -> tuple[Truth, list[Message]]:
    truth = Truth(FAULTY)
    made: list[Message] = []
    for part in arrivals(FAULTY):
        truth.count(part.frames)
        made += messages(part, form, FAULTY.record_bytes, tombstones)
    return truth, made


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_every_record_is_in_one_message(form: Form) -> None:
    truth, made = sent(form, tombstones=True)
    for name in SOURCES:
        records = sum(message.records for message in made if message.source == name)
        assert records == truth.fates[name].total()


def test_json_messages_have_the_user_as_key() -> None:
    _, made = sent("json", tombstones=False)
    sessions = [message for message in made if message.source == "erasures"]
    assert sessions
    for message in sessions:
        assert message.value is not None
        assert json.loads(message.value)["user_id"].encode() == message.key


def test_messages_are_sent_by_arrival() -> None:
    forms: tuple[Form, ...] = ("json", "arrow")
    for form in forms:
        _, made = sent(form, tombstones=False)
        times = [message.arrival for message in made]
        assert times == sorted(times)


def test_arrow_messages_hold_many_rows_each() -> None:
    _, made = sent("arrow", tombstones=False)
    rows = 0
    for message in made:
        if message.key is None and message.value is not None:
            table = pa.ipc.open_stream(message.value).read_all()
            assert table.num_rows == message.records <= ROWS
            rows += table.num_rows
    assert rows > 0.9 * sum(message.records for message in made)


def test_every_second_erasure_is_a_tombstone() -> None:
    _, made = sent("json", tombstones=True)
    erased = [message for message in made if message.source == "erasures"]
    void = [message for message in erased if message.value is None]
    assert 0 < len(void) == len(erased) // 2
    assert all(message.key for message in void)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 1
        self.now += seconds


def test_a_rate_is_kept() -> None:
    clock = Clock()
    pace = Pace(50.0, clock, clock.sleep)
    for _ in range(200):
        pace.wait(1)
    pace.wait(1)
    assert clock.now - 100.0 == pytest.approx(200 / 50)


def test_a_rate_of_nought_never_waits() -> None:
    clock = Clock()
    pace = Pace(0.0, clock, clock.sleep)
    for _ in range(1_000):
        pace.wait(1_000)
    assert clock.now == 100.0


@pytest.mark.parametrize("wrong", [{"rate": -1.0}, {"partitions": 0}])
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"rate|partition"):
        Sending(**wrong)  # type: ignore[arg-type]
