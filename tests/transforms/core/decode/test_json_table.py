"""JSON read as a table gives what JSON read record by record gives."""

import json
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import damaged_lines
from tests.transforms.core.decode.batches import Batch, batches, json_of
from tests.transforms.core.decode.reading import (
    T,
    line,
    plain,
    read,
    read_quickly,
    read_slowly,
    shop,
    texts,
)
from transforms.core.decode import decoded as module
from transforms.core.decode import strict_json
from transforms.core.decode.json_table import tables_of
from transforms.core.decode.long_numbers import WrittenFloat, decimal_text, float_of
from transforms.core.decode.plan import Plan
from transforms.core.decode.strict_json import DEEPEST

FIRST = line(i=1, a="VIEW", c=[1], geo={"land": "de"})

ODD = [
    b'{"u":"x","t":1700000000000,"u":"y"}',
    b'{"u":"x","t":1700000000000,"junk":1,"junk":{"a":1}}',
    b'{"u":"x","t":1700000000000}{"u":"x","t":1700000000000}',
    b'{"u":"x","t":1700000000000} {"u":"x","t":1700000000000}',
    b'{"u":"x",\n"t":1700000000000}',
    b'{"u":"x","t":1700000000000}\n{"u":"z","t":1700000000000}',
    b' {"u":"x","t":1700000000000}',
    b'{"u":"x","t":1700000000000}\t',
    b'{"u":"x","t":1700000000000}\r',
    b'{"u":"x","t":1700000000000,"junk":NaN}',
    b'{"u":"x","t":1700000000000,"junk":-Infinity}',
    b'{"u":"x","t":1700000000000,"junk":[Infinity]}',
    b'{"u":"x","t":1700000000000,"junk":"NaN"}',
    b'{"u":"x","t":1700000000000,"i":":NaN"}',
    b'{"u":"x","t":1700000000000,"junk":' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}",
    b'{"u":"x","t":1700000000000,"junk":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}",
    b'{"u":"x","t":1700000000000,"junk":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"u":"x","t":1700000000000,"junk":' + b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"}",
    b'{"u":"x","t":1700000000000,"junk":"' + b"[" * 300 + b'"}',
    b'{"u":"x","t":1700000000000,"junk":' + b"1" * 4300 + b"}",
    b'{"u":"x","t":1700000000000,"junk":' + b"1" * 4301 + b"}",
    b'{"u":"x","t":1700000000000,"junk":-' + b"1" * 9000 + b"}",
    b'{"u":"x","t":1700000000000,"junk":0.' + b"1" * 9000 + b"}",
    b'{"u":"x","t":1700000000000,"junk":"' + b"1" * 9000 + b'"}',
    b'{"u":"x","t":1700000000000,"junk":1e999}',
    b'{"u":"x","t":1700000000000,"i":1e999}',
    b'{"u":"x","t":1700000000000,"i":1e-999}',
    b'{"u":"x","t":1700000000000,"i":-0}',
    b'{"u":"x","t":1700000000000,"i":-0.0}',
    b'{"u":"x","t":1700000000000,"i":1E2}',
    b'{"u":"x","t":1700000000000,"i":18446744073709551615}',
    b'{"u":"x","t":1700000000000,"i":1.}',
    b'{"u":"x","t":1700000000000,"i":.5}',
    b'{"u":"x","t":1700000000000,"i":+1}',
    b'{"u":"x","t":1700000000000,"i":01}',
    b'{"u":"x","t":1700000000000,"i":0x1}',
    b'{"u":"x","t":1700000000000,"i":1e}',
    b'{"u":"x","t":1700000000000,"junk":01}',
    b'{"u":"x","t":1700000000000,"junk":tru}',
    b'{"u":"x","t":1700000000000,"junk":nan}',
    b'{"u":"x","t":1700000000000,}',
    b'{"u":"x","t":1700000000000,"junk":[1,]}',
    b"{'u':'x','t':1700000000000}",
    b'{"u":"x","t":1700000000000}//',
    b'{"u":"x",/**/"t":1700000000000}',
    b'\xef\xbb\xbf{"u":"x","t":1700000000000}',
    b'{"u":"\\ud800","t":1700000000000}',
    b'{"u":"\\ud83d\\ude00","t":1700000000000}',
    b'{"u":"x","t":1700000000000,"junk":"\\udc00"}',
    b'{"u":"x","t":1700000000000,"junk":"\\ud800\\u0041"}',
    b'{"u":"x","t":1700000000000,"\\ud800":1}',
    b'{"u":"x","t":1700000000000,"junk":["\\ud800"],"junk":1}',
    b'{"u":"x","t":1700000000000,"i":"\\u0000"}',
    b'{"u":"x","t":1700000000000,"i":"\x00"}',
    b'{"u":"x","t":1700000000000,"i":"\x01"}',
    b'{"u":"x","t":1700000000000,"junk":"\x1f"}',
    b'{"u":"x","t":1700000000000,"i":"\x7f"}',
    b'{"u":"x","t":1700000000000,"i":"\xff"}',
    b'{"u":"x","t":1700000000000,"i":"\xed\xa0\x80"}',
    b'{"u":"x","t":1700000000000,"i":"\xc0\x80"}',
    b'{"u":"x","t":1700000000000,"i":"\\x41"}',
    b'{"u":"x","t":1700000000000,"i":"a\\/b"}',
    b'{"u":"x","t":1700000000000,"i":"2023-01-01"}',
    b'{"u":"x","t":1700000000000,"i":null}',
    b'{"u":"x","t":1700000000000,"geo":null}',
    b'{"u":"x","t":1700000000000,"geo":7}',
    b'{"u":"x","t":1700000000000,"geo":[{"land":1}]}',
    b'{"u":"x","t":1700000000000,"geo":{"land":{"a":1}}}',
    b'{"u":"x","t":1700000000000,"geo.land":1}',
    b'{"u":"x","t":1700000000000,"add":[[1]]}',
    b'{"u":"x","t":1700000000000,"add":[1,"1",null,1.5,true]}',
    b'{"u":"x","t":1700000000000,"price":9007199254740993}',
    b'{"u":"x","t":"1700000000000"}',
    b'{"u":"x","t":1.7e12}',
    b'{"u":17,"t":1700000000000}',
    b'{"":1}',
    b'{"u":"x","t":null}',
    b"{}",
    b"[]",
    b"[{}]",
    b"null",
    b'"{}"',
    b"}{",
    b"{}}",
    b"{{}",
    b"\x00",
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_odd_text_reads_alike_in_a_table_and_alone(odd: bytes) -> None:
    for around in (0, 3, 20):
        batch = texts(*[FIRST] * around, odd, *[FIRST] * around)
        assert plain(read(batch)) == plain(read_slowly(batch)) == plain(read_quickly(batch))


def test_plain_texts_are_read_as_a_table() -> None:
    """Lest the tests here compare the slow way with itself."""
    fields = [*shop().fields.values()]
    several = [line(i=n, a="VIEW", add=[n], price=n / 2, geo={"land": "é"}) for n in range(20)]
    read_at_once = tables_of(several, fields)
    assert [table.num_rows for table, _ in read_at_once.parts] == [20]
    assert not len(read_at_once.left_out)
    with patch.object(module, "record_of", None):  # nothing is looked at alone
        assert len(read(texts(*several)).place) == 20


def test_one_bad_line_makes_few_records_slow() -> None:
    looked = []

    def record_of(text: bytes) -> dict[str, Any]:
        looked.append(text)
        return strict_json.record_of(text)

    several = [FIRST] * 300 + [b"{"] + [FIRST] * 300 + [line(i=[1])] + [FIRST] * 300
    with patch.object(module, "record_of", record_of):
        done = read(texts(*several))
    assert (len(done.place), done.reasons) == (900, {"malformed": 1, "bad_type": 1})
    assert len(looked) <= 64


LONG = [
    b"%d.9999" % T, b"%d.99999999999999999999" % T, b"%d.9999999999999999" % (T - 1), b"%d.0" % T,
    b"%de0" % T, b"%d9999999999E-10" % (T - 1), b"4.99999999999999999999", b"4.999", b"5.0",
    b"5.0000000000000000000001", b"1e-400", b"-1e-400", b"0.0", b"0", b"1e400", b"0e400",
    b"20.49999999999999999", b"9007199254740992.5", b"9007199254740993", b"-0.0", b"1.5",
    b"0." + b"0" * 400 + b"1", b"1e-99999999999999999999", b"0.1234567890123456789",
]  # fmt: skip
FLAGGED = shop(actions={"flags": {"LIKE": "ca\u00fe/f", "BUY": "by.bought"}})


@settings(max_examples=250)
@given(st.lists(st.tuples(*[st.sampled_from(LONG)] * 5, st.sampled_from([b"u", b"\\u0075"]))))
def test_s1_numbers_that_no_float_holds_count_by_their_text(
    values: list[tuple[bytes, ...]],
) -> None:
    form = b'{"i":1,"t":%s,"price" :\t%s,"ca\\u00fe\\/f":%s,"by":{"bought":%s}'
    form += b',"ctr":%s,"%s":"y"}'
    whole = form % (b"%d.0" % T, b"5.0", b"1.0", b"2.0", b"0.5", b"u")
    several = texts(*[form % value for value in values], *[whole] * 3)
    assert plain(read_quickly(several, FLAGGED)) == plain(read_slowly(several, FLAGGED))


def test_s1_a_number_counts_by_its_decimal_text() -> None:
    several = [
        b'{"u":"x","i":1,"t":%s,"price":%s,"by":{"bought":%s}}' % (time, price, bought)
        for time, price, bought in [
            (b"1600000000.999999999", b"4.99999999999999999999", b"1e-400"),
            (b"1600000000.0009999", b"5.0", b"0.0"),
            (b"1600000000.123", b"5.00000000000000000001", b"0e9"),
        ]
    ]
    plan = shop(time={"field": "t", "unit": "s"}, actions={"flags": {"BUY": "by.bought"}})
    for batch in (texts(*several), texts(*several * 20)):
        done = read(batch, plan)
        rows = done.rows.to_pylist()[:3]
        assert done.time.tolist()[:3] == [1_600_000_000_999, 1_600_000_000_000, 1_600_000_000_123]
        assert [(row["scalar:price"], row["actions"]) for row in rows] == [(1, 4), (2, 0), (2, 0)]


def test_what_float_of_keeps_is_what_a_float_does_not() -> None:
    for text in ["0.1", "0.30000000000000004", "1e23", "1.0E+5", "123456789012345.0", "-0.0"]:
        assert type(float_of(text)) is float
    for text in [one.decode() for one in LONG]:
        value = float_of(text)
        assert decimal_text(value) == (text if isinstance(value, WrittenFloat) else repr(value))
        assert repr(value) == repr(float(text))


def test_numbers_of_usual_length_stay_in_the_table() -> None:
    lines = [line(t=T + 0.5, price=n / 3, ctr=n / 7, junk=n / 11) for n in range(20)]
    lines += [line(t=float(T), price=n / 4, ctr=n / 7, junk=n / 11) for n in range(20)]
    plan = shop()
    read_at_once = tables_of(lines, [*plan.fields.values()], plan.decimal_fields)
    assert set(range(20, 40)).isdisjoint(read_at_once.left_out.tolist())


@settings(max_examples=250)
@given(batches(), st.lists(st.one_of(damaged_lines(), st.sampled_from(ODD)), max_size=3), st.data())
def test_a_table_gives_what_records_one_by_one_give(
    batch: Batch, damaged: list[bytes], data: Any
) -> None:
    plan, records = batch
    lines = [json_of(record) for record in records] + [text for text in damaged if text.strip()]
    several = texts(*data.draw(st.permutations(lines)))
    assert plain(read_quickly(several, plan)) == plain(read_slowly(several, plan))


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(0, 2))
def test_hostile_bytes_are_rejects(noise: list[bytes], good: int) -> None:
    _all_accounted_for([FIRST] * good + noise)


@settings(max_examples=150)
@given(st.data())
def test_damaged_records_are_rejects_or_records(data: Any) -> None:
    """A byte changed, cut out or put in anywhere in a good record."""
    good = line(i=1, a=["VIEW"], c=[1, "é"], price=7.5, add=[1], geo={"land": "de"}, agent=None)
    at = data.draw(st.integers(0, len(good)))
    put = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from(ODD)))
    skip = data.draw(st.integers(0, 4))
    _all_accounted_for([good, good[:at] + put + good[at + skip :], good])


def _all_accounted_for(lines: list[bytes]) -> None:
    done = read_quickly(texts(*lines))
    assert plain(done) == plain(read_slowly(texts(*lines)))
    rejected = [(row["line"], row["raw"]) for row in done.rejected.to_pylist()]
    places = [*done.place.tolist(), *(number - 1 for number, _ in rejected)]
    assert sorted(places) == list(range(len(lines)))
    assert all(raw == lines[number - 1] for number, raw in rejected)


@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)), max_leaves=8,
))  # fmt: skip
def test_any_json_value_anywhere_reads_alike(value: Any) -> None:
    fields = ["u", "t", "id", "i", "a", "c", "by", "ctr", "geo", "agent", "price", "add", "junk"]
    written = json.dumps(value).replace("Infinity", "1e999").encode()
    lines = [b'{"u":"x","t":%d,"i":2,"%s":%s}' % (T, field.encode(), written) for field in fields]
    several = texts(*lines, FIRST)
    assert plain(read_quickly(several)) == plain(read_slowly(several))


def test_a_plan_without_any_field_present_reads_alike() -> None:
    plan: Plan = shop(event_id=None)
    for several in ([b"{}"], [b"{}"] * 100, [FIRST, b"{}", FIRST], [b'{"junk":1}', FIRST]):
        done = read_quickly(texts(*several), plan)
        assert plain(done) == plain(read_slowly(texts(*several), plan))
        assert done.reasons["missing_user"] == sum(text != FIRST for text in several)
