"""What bad input gets: a counted reject with its reason and raw bytes; all else goes through."""

import json
from typing import Any

import pytest

from schemas.fetched import Damaged, Origin
from schemas.ids import HASHED
from tests.machine import Machine, observations
from tests.transforms.core.decode.reading import (
    Row,
    T,
    line,
    plain,
    read,
    read_slowly,
    shop,
    texts,
    why,
)

GOOD = line(i=1, a="VIEW")


def rejected(bad: bytes, reason: str, says: str = "") -> Row:
    """The one reject that a bad record among good ones gives, in whatever company it comes."""
    for around in (1, 40):
        batch = texts(*[GOOD] * around, bad, *[GOOD] * around)
        done = read(batch)
        assert plain(done) == plain(read_slowly(batch))
        assert (len(done.place), done.reasons) == (2 * around, {reason: 1})
        (row,) = done.rejected.to_pylist()
        assert (row["source"], row["file"], row["line"]) == ("e", "e.jsonl", around + 1)
        assert (row["raw"], row["partition"], row["offset"]) == (bad, None, None)
        assert says in row["detail"]
    return dict(row)


@pytest.mark.parametrize("bad", [b"{", b"hello", b"{'u':1}", b'{"u":}', b"\x00\x01\x02", b"{}{}"])
def test_not_json(bad: bytes) -> None:
    rejected(bad, "malformed", "not JSON")


@pytest.mark.parametrize("bad", [b"[1]", b"[]", b"7", b'"text"', b"null", b"true", b"[{}]"])
def test_json_of_another_shape(bad: bytes) -> None:
    rejected(bad, "not_a_record", "not of an object")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"[1]", "an array"), (b"7", "a number"), (b"-1e400", "a number"), (b'""', "a string"),
        (b"null", "null"), (b"true", "true"),
    ],
)  # fmt: skip
def test_json_of_another_shape_is_called_as_json_does(bad: bytes, says: str) -> None:
    rejected(bad, "not_a_record", f"JSON of {says}, not of an object")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("True", 'by.bought="True": must be true, false, a number or numeric text'),
        ({"a": [True, None, "é"]}, 'by.bought={"a": [true, null, "é"]}: must be true, false'),
    ],
)
def test_a_flag_that_is_none(value: Any, says: str) -> None:
    plan = shop(actions={"flags": {"BUY": "by.bought"}})
    (row,) = read(texts(line(i=1, by={"bought": value})), plan).rejected.to_pylist()
    assert row["detail"].startswith(says)


@pytest.mark.parametrize("bad", [b"{}", b'{"v":1}', line(u=None), line(u="")])
def test_missing_or_null_or_empty_user(bad: bytes) -> None:
    rejected(bad, "missing_user", "u is")


@pytest.mark.parametrize("bad", [b'{"u":"x"}', line(t=None)])
def test_missing_or_null_time(bad: bytes) -> None:
    rejected(bad, "missing_time", "t is absent")


def test_a_time_in_seconds_where_ms_are_due_is_far_past() -> None:
    rejected(line(t=T // 1000), "bad_time", "t=1700000000: must be a number of ms in 1990 to 2199")


@pytest.mark.parametrize("time", [T * 1000, 10**40, "1e300", "1e400", -1, 7_258_118_400_000])
def test_a_far_future_time(time: Any) -> None:
    rejected(line(t=time), "bad_time")


def test_the_first_and_the_last_time_that_are_taken() -> None:
    first, last = 631_152_000_000, 7_258_118_399_999
    done = read(texts(line(t=first), line(t=last), line(t=f"{last}.9999999999999999999999")))
    assert done.rows["time"].to_pylist() == [first, last, last]
    rejected(line(t=first - 1), "bad_time")
    rejected(line(t=last + 1), "bad_time")
    rejected(line(t="631151999999.99999999999999999999"), "bad_time")


def test_a_time_that_is_nan_is_no_json() -> None:
    rejected(b'{"u":"x","t":NaN}', "malformed", "NaN is not a JSON number")
    rejected(line(t="NaN"), "bad_time")


@pytest.mark.parametrize("time", ["noon", "", True, "1e99999999999999999999", "0x1", "١٧", "1_0"])
def test_a_time_that_is_no_number(time: Any) -> None:
    rejected(line(t=time), "bad_time")


@pytest.mark.parametrize("time", [[T], {"ms": T}])
def test_a_time_of_a_type_that_is_none(time: Any) -> None:
    rejected(line(t=time), "bad_type")


def test_ahead_of_the_kafka_clock_by_more_than_the_skew() -> None:
    skew = 3_600_000
    done = read(texts(line(), line(t=T + skew), line(t=T + skew + 1), timestamp=[T] * 3))
    assert done.place.tolist() == [0, 1]
    (row,) = done.rejected.to_pylist()
    assert (row["reason"], row["line"]) == ("ahead_of_clock", 3)
    assert row["event_time"].timestamp() * 1000 == T + skew + 1


def test_an_action_the_spec_does_not_know() -> None:
    row = rejected(
        line(i=1, a="SELL"), "unknown_action", 'a="SELL": must be one of VIEW, LIKE, BUY'
    )
    assert row["event_time"].timestamp() * 1000 == T
    rejected(line(i=1, a=["VIEW", "SELL"]), "unknown_action")
    assert read(texts(line(a="SELL"))).rejected.num_rows == 0  # without an item none is looked at


@pytest.mark.parametrize(
    "value", [0, -1, -(2**63), 2**62, 2**63, 2**64, 10**30, 0.5, True, "", "01", "é", "x" * 10_000]
)
def test_ids_of_every_kind_are_taken(value: Any) -> None:
    plan = shop(event_id=None)
    done = read(texts(line(i=value), line(i=1, add=[value]), line(i=1, c=value)), plan)
    assert done.rejected.num_rows == 0
    row, adds, names = done.rows.to_pylist()
    assert row["item"] >= HASHED
    assert adds["add:likes"] == names["category:topic"] == [row["item"]]
    text = value if isinstance(value, str) else json.dumps(value)
    assert done.names == {
        (kind, row["item"]): text for kind in ("item", "feature:likes", "category:topic")
    }


def test_the_largest_plain_id_and_the_first_hashed_one() -> None:
    done = read(texts(line(i=HASHED - 1), line(i=str(HASHED - 1)), line(i=HASHED)))
    one, other, hashed = done.rows["item"].to_pylist()
    assert one == other == HASHED - 1
    assert hashed > HASHED
    assert [*done.names.values()] == [str(HASHED)]


@pytest.mark.parametrize("user", ["é", "\U0001f600", "x" * 10_000, " ", "0", 0, -1, 2**64, 7.0])
def test_users_of_every_kind_are_taken(user: Any) -> None:
    (row,) = read(texts(line(u=user))).rows.to_pylist()
    assert row["user"] == (user if isinstance(user, str) else str(int(user)))


@pytest.mark.parametrize("user", [1.5, True, [1], {"id": 1}])
def test_users_of_types_that_are_none(user: Any) -> None:
    rejected(line(u=user), "bad_type", "must be a string or an integer")


def test_a_source_whose_users_are_all_lists() -> None:
    several = texts(*[line(u=["x", "y"]), line(u=[]), line(u=None)] * 20)
    done = read(several)
    assert plain(done) == plain(read_slowly(several))
    assert done.reasons == {"bad_type": 40, "missing_user": 20}


def test_a_record_larger_than_the_limit() -> None:
    plan = shop()
    limit = plan.spec.limits.record_bytes
    fits = line(i=1, junk="")
    fits = fits[:-2] + b"x" * (limit - len(fits)) + fits[-2:]
    assert len(fits) == limit
    assert len(read(texts(fits)).place) == 1
    rejected(fits[:-2] + b"x" + fits[-2:], "too_large", f"{limit + 1} bytes")
    rejected(b"{" + b"x" * 5_000_000, "too_large", "5000001 bytes")


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deeply_nested_json(opening: str) -> None:
    closing = {"[": "]"}.get(opening, "}")
    for depth in (251, 1001, 3000):
        deep = (opening * depth + "1" + closing * depth).encode()
        rejected(line()[:-1] + b',"junk":' + deep + b"}", "malformed", "nested deeper")
    deep = (opening * 90 + "1" + closing * 90).encode()
    assert len(read(texts(line()[:-1] + b',"junk":' + deep + b"}")).place) == 1


def test_duplicated_keys_the_last_counts() -> None:
    text = b'{"u":"a","u":"x","t":1,"t":%d,"i":[1],"i":7,"junk":1,"junk":2}' % T
    for batch in (texts(text), texts(*[text] * 50)):
        assert {row["user"] for row in read(batch).rows.to_pylist()} == {"x"}
        assert {row["item"] for row in read(batch).rows.to_pylist()} == {7}


@pytest.mark.parametrize(
    "bad", [b'{"u":"\xff"}', b'{"\xc3":1}', b"\xfe\xff", b'{"u":"\xed\xa0\x80"}']
)
def test_invalid_utf8(bad: bytes) -> None:
    rejected(bad, "malformed", "is not UTF-8")


def test_a_byte_order_mark_is_no_json() -> None:
    rejected(b"\xef\xbb\xbf" + GOOD, "malformed", "not JSON: begins with a byte order mark")


@pytest.mark.parametrize("bad", [b'"\\ud800"', b'"\\udc00x"', b'["\\ud800"]', b'{"\\udfff":1}'])
def test_lone_surrogates_are_no_json(bad: bytes) -> None:
    for junk in (bad, b"1,%s" % b'"junk":' + bad, bad + b',"junk":1'):
        rejected(line()[:-1] + b',"junk":' + junk + b"}", "malformed", "lone surrogate")


def test_a_text_with_nul_is_a_text() -> None:
    assert [*read(texts(line(i="\0"))).names.values()] == ["\0"]
    rejected(b'{"u":"\0","t":1}', "malformed")


def test_numbers_too_long_to_be_read() -> None:
    rejected(line()[:-1] + b',"junk":' + b"9" * 4301 + b"}", "malformed", "more than 4,300 digits")
    rejected(line()[:-1] + b',"t":1%s.5}' % (b"0" * 300), "bad_time", "t=1000000")
    rejected(
        line()[:-1] + b',"i":1e999}', "bad_type", "1e999 is not a number from -1.8e308 to 1.8e308"
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"i": {}}, {"i": [1]}, {"i": 1, "a": {}}, {"i": 1, "a": ["VIEW", {}]}, {"i": 1, "c": [[1]]},
        {"i": 1, "by": {"maker": {"x": 1}}}, {"geo": {"land": [1]}}, {"geo": {"land": {}}},
        {"agent": []}, {"price": "dear"}, {"price": True}, {"price": [5]}, {"price": ""},
        {"add": {}}, {"add": [{}]}, {"rem": [[]]}, {"all": {"x": 1}}, {"id": [1]}, {"id": {}},
    ],
    ids=str,
)  # fmt: skip
def test_fields_of_types_that_their_use_does_not_allow(bad: Row) -> None:
    row = rejected(line(**bad), "bad_type")
    if "a" not in bad:  # the end mark, in the same field, is looked at before the time
        assert row["event_time"].timestamp() * 1000 == T


def test_a_rejected_record_yields_nothing() -> None:
    bad = line(i="new", a="SELL", geo={"land": "xx"}, add=["m"], ctr=1)
    done = read(texts(bad, GOOD))
    dropped = sum(len(places) for places in done.dropped.values())
    assert (done.names, dropped, done.filtered) == ({}, 0, 0)
    assert len(done.rows) == 1


def test_damaged_bytes_of_a_reader_are_a_reject() -> None:
    damaged = Damaged("e", b"PAR0", "malformed", "no Parquet", Origin(file="e.parquet"))
    done = read(damaged)
    (row,) = done.rejected.to_pylist()
    assert (row["raw"], row["reason"], row["detail"]) == (b"PAR0", "malformed", "no Parquet")
    assert (row["file"], row["line"], len(done.place)) == ("e.parquet", None, 0)


def test_where_a_reject_of_kafka_came_from() -> None:
    fetched = texts(b"{", GOOD)
    origin = Origin(partition=fetched.origin.line, offset=fetched.origin.line)
    done = read(type(fetched)("e", fetched.texts, origin))
    assert [(r["partition"], r["offset"], r["line"]) for r in done.rejected.to_pylist()] == [
        (1, 1, None)
    ]
    assert done.rows.select(["partition", "offset"]).to_pylist() == [{"partition": 2, "offset": 2}]


def test_an_empty_batch() -> None:
    done = read(texts())
    assert (len(done.place), done.rejected.num_rows, done.rows.schema) == (0, 0, shop().schema)
    machine = Machine(shop().spec)
    assert machine.fire(observations(shop().spec, [done])) == []


def test_why_is_one_of_the_closed_list() -> None:
    assert why(read(texts(b"{"))) == "malformed"
