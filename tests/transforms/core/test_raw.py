"""Raw tokens, and what is an observation at all."""

import pytest

from tests.transforms.core.shop import Row, at, erased, machine, rows
from transforms.core.observing import observing
from transforms.core.order import in_order


def raw(*records: Row, attribution: str = "0s") -> list[int]:
    one = machine(attribution=attribution)
    return [row["raw_tokens"] for row in one.fire(rows(one.spec, *records))]


def test_two_an_engagement_one_a_scalar_one_each_value_that_a_set_names() -> None:
    assert raw(at(0, i=1)) == [2]
    assert raw(at(0, i=1, land="de")) == [3]
    assert raw(at(0, land="de"), at(1, land="de"), at(2, i=1, land="de")) == [5]
    assert raw(at(0, i=1, add=[7, None, 7], rem=[7, 8])) == [6]
    assert raw(at(0, i=1, add=[])) == [2]


def test_up_to_the_first_record_of_the_last_engagement_in_s2_order() -> None:
    assert raw(at(0, i=1), at(1, land="de")) == [2]
    assert raw(at(0, i=1), at(0, id="z", land="de")) == [3]  # features precede at one time
    assert raw(at(0, i=1), at(0, id="z", i=2)) == [4]
    assert raw(at(0, i=1), at(5000, land=1), at(9000, i=2)) == [2, 5]


def test_joiners_count_where_they_stand_and_copies_do_not() -> None:
    records = [at(0, i=1), at(1, i=1), at(2, i=2)]
    assert raw(*records, attribution="10ms") == [6]
    assert raw(*records[:2], attribution="10ms") == [2]
    assert raw(at(0, i=1), at(0, i=1), at(1, i=2), at(1, i=2, v=7)) == [4]


@pytest.mark.parametrize(
    ("record", "is_one"),
    [
        ({}, False), ({"a": "VIEW", "c": [1]}, False), ({"i": 1}, True), ({"a": "OUT"}, True),
        ({"land": 1}, True), ({"add": []}, True), ({"rem": [None]}, True), ({"add": None}, False),
    ],
)  # fmt: skip
def test_s1_what_observes_nothing_is_no_observation(record: Row, is_one: bool) -> None:
    table, _ = in_order(rows(machine().spec, at(0, **record)))
    assert observing(table).tolist() == [is_one]


def test_s1_an_erasure_is_an_observation() -> None:
    table, _ = in_order(rows(machine().spec, x=erased(0)))
    assert observing(table).tolist() == [True]


def test_s15_what_observes_nothing_keeps_no_history_alive() -> None:
    for between, tokens in ((at(1900), 2), (at(1900, add=[]), 4)):
        one = machine(retention="2000ms")
        got = one.fire(rows(one.spec, at(0, i=1), between, at(2500, i=2)))
        assert len(got[-1]["token_id"]) == tokens
