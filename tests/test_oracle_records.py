"""The oracle, held to examples reckoned by hand: ids, raw records and S1."""

from decimal import Decimal
from typing import Any

import pytest
import xxhash

from tests.oracles import fields
from tests.oracles.raw import RejectionError, parse
from tests.oracles.shop import (
    LAND,
    PRICE,
    Row,
    T,
    at,
    reasons,
    run,
    spec_of,
    tokens_of,
)
from tests.oracles.text import HASHED, canonical_json, id_of, text_of


def test_ids_by_text() -> None:
    values: list[float | str] = [1.0, 0.5, True, False, -3, "01", 1e22, -0.0]
    expected = ["1", "0.5", "true", "false", "-3", "01", "1" + "0" * 22, "0"]
    assert [text_of(value) for value in values] == expected


def test_ids_plain_or_hashed() -> None:
    assert [id_of(text) for text in (None, "1", str(HASHED - 1))] == [0, 1, HASHED - 1]
    for text in ("0", "-1", "01", str(HASHED), "", "é", "1.5", "١"):
        assert id_of(text) == HASHED + xxhash.xxh3_64_intdigest(text.encode()) % HASHED


def test_canonical_json() -> None:
    value = {"z": [1.0, None, "\u00e9\n\x01/\x7f"], "a": {"b": True, "": 0.5}, "é": 1, "Z": '"'}
    expected = '{"Z":"\\"","a":{"":0.5,"b":true},"z":[1,null,"é\\n\\u0001/\x7f"],"é":1}'
    assert canonical_json(value) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "malformed"),
        (b'{"u": NaN}', "malformed"),
        (b'{"u": -Infinity}', "malformed"),
        (b'{"u": "\\ud800"}', "malformed"),
        (b'{"u": ["\\ud800"], "u": 1}', "malformed"),
        (b'"\xff"', "malformed"),
        (b"[1]", "not_a_record"),
        (b"null", "not_a_record"),
        (b'{"u":"' + b"x" * 40 + b'"}', "too_large"),
    ],
)
def test_records_strict_json(raw: bytes, reason: str) -> None:
    with pytest.raises(RejectionError, match=reason):
        parse(raw, 40)


def test_records_last_of_doubled_keys_and_blank_lines() -> None:
    line = b'{"u":1,"u":"v","t":%d,"i":1}' % T
    result = run(spec_of(), b"", b" \t", line, b"[]")
    assert [row["user_id"] for row in result.sequences] == ["v"]
    assert result.rejected == [("e", 3, "not_a_record")]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"t": T}, "missing_user"),
        ({"u": "", "t": T}, "missing_user"),
        ({"u": True, "t": T}, "bad_type"),
        ({"u": 1.5, "t": T}, "bad_type"),
        ({"u": 1}, "missing_time"),
        ({"u": 1, "t": "noon"}, "bad_time"),
        ({"u": 1, "t": True}, "bad_time"),
        ({"u": 1, "t": fields.EARLIEST - 1}, "bad_time"),
        ({"u": 1, "t": fields.END_OF_TIME}, "bad_time"),
        (at(0, id=[1]), "bad_type"),
        (at(0, i={}), "bad_type"),
        (at(0, i=1, a="SELL"), "unknown_action"),
        (at(0, i=1, a=["VIEW", {}]), "bad_type"),
        (at(0, i=1, c=[[1]]), "bad_type"),
        (at(0, land=[1]), "bad_type"),
        (at(0, land=float("inf")), "bad_type"),
        (at(0, price="dear"), "bad_type"),
        (at(0, add=[{}]), "bad_type"),
    ],
)
def test_records_rejected(record: Row, reason: str) -> None:
    assert reasons(record) == [reason]


def test_records_items_rule_actions_and_ends_of_time() -> None:
    assert reasons(at(0, a="SELL", c=[[1]])) == []  # no item: neither is looked at
    assert reasons({"u": 1, "t": fields.EARLIEST}, {"u": 1, "t": fields.END_OF_TIME - 1}) == []


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1700000000.0019, "s", T + 1),
        ("1700000000.00199999999999999999999999999999", "s", T + 1),
        (T + 0.999, "ms", T),
        (str(T * 1000 + 1999), "us", T + 1),
        ("2023-11-14T22:13:20.001999", "iso8601", T + 1),
        ("2023-11-14T23:13:20+01:00", "iso8601", T),
        ("+1.7e12", "ms", T),
    ],
)
def test_s1_time_is_floored(value: Any, unit: str, expected: int) -> None:
    assert fields.time({"t": value}, "t", unit) == expected


def test_s1_what_a_record_yields() -> None:
    record = at(0, i="7", a=["BUY", "VIEW", None], c=["x", 3, None, "3", "x"], land="9", price="20")
    row = run(spec_of(), record).sequences[0]
    assert tokens_of(row) == [(LAND, 9, 0), (PRICE, 3, 0), (0, 7, 0), (1, 0b101, 0)]
    assert row["category_topic"] == [[id_of("x"), 3]]


def test_s1_flags_and_always() -> None:
    spec = spec_of()
    spec["sources"]["e"]["actions"] = {"flags": {"LIKE": "l", "BUY": "b"}}
    spec["sources"]["v"] = {"user": "u", "time": "t", "item": "i", "actions": {"always": ["VIEW"]}}
    result = run(
        spec,
        at(0, i=1, l=True, b="0.0"),
        at(1, i=2, l="false", b=-1),
        at(2, i=3, l=None),
        at(3, i=4, l="yes"),
        v=[at(4, i=5)],
    )
    assert result.sequences[0]["token_id"][1::2] == [0b010, 0b100, 0, 0b001]
    assert result.rejected == [("e", 3, "bad_type")]


def test_s1_where_lets_ends_pass_and_counts() -> None:
    spec = spec_of()
    spec["sources"]["e"]["where"] = {"field": "k", "in": [1, True]}
    out = at(0, i=1, k=2, u={}), at(1, i=2, k=[0, "1"]), at(2, i=3, k="true"), at(3, i=4, a="OUT")
    result = run(spec, *out, at(4, k={}))
    assert result.filtered == {"e": 1}
    assert result.sequences[0]["token_id"] == [2, 0, 3, 0, 4, 0]
    assert result.rejected == [("e", 4, "bad_type")]


def test_s1_paths_and_dropped() -> None:
    spec = spec_of()
    spec["sources"]["e"] |= {"item": "a.b\\.c", "dropped": ["d.n"], "actions": {"always": []}}
    records = at(0, a={"b.c": 7}, d={"n": []}), at(1, a=3, d=3), at(2, a={"b": {"c": 1}})
    result = run(spec, *records)
    assert result.rejected == [("e", 0, "bad_type"), ("e", 2, "bad_type")]  # `end` reads a, too
    del spec["sources"]["e"]["end"]
    result = run(spec, *records)
    assert result.sequences[0]["token_id"] == [7, 0]
    assert result.dropped == {("e", "d.n"): 1}


def test_dictionary_of_hashed_ids() -> None:
    result = run(spec_of(), at(0, i="a", c=["b", 5], land="de", add="f", price=7))
    kinds = {(kind, text) for kind, _, text in result.dictionary}
    named = {("item", "a"), ("category:topic", "b"), ("feature:land", "de"), ("feature:likes", "f")}
    assert kinds == named
    assert all(identity == id_of(text) for _, identity, text in result.dictionary)


def test_s1_numbers_count_by_their_decimal_text() -> None:
    raw = b'{"t":1600000000.999999999,"p":4.99999999999999999999,"f":1e-400}'
    record = parse(raw, 1000)
    assert fields.number(record["t"]) == Decimal("1600000000.999999999")
    assert fields.number(record["p"]) == Decimal("4.99999999999999999999")
    assert fields.flag(record, "f")
