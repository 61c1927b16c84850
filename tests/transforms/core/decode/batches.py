"""Batches of records of one source: a type to a field, or a mixture; values at every edge."""

import json
from functools import cache
from typing import Any

from hypothesis import strategies as st

from schemas.spec import ScalarField
from tests.strategies.records import put
from tests.strategies.weights import now_and_then
from tests.transforms.core.decode.reading import SOURCE, T, shop
from transforms.core.decode.plan import Plan

Record = dict[str, Any]
Batch = tuple[Plan, list[Record]]
Values = st.SearchStrategy[Any]

INTS: Values = st.one_of(
    st.integers(-3, 9),
    st.sampled_from([2**53 - 1, 2**53, 2**53 + 1, 2**62 - 1, 2**62, 2**63 - 1, -(2**63)]),
)
FLOATS: Values = st.one_of(
    st.sampled_from([
        0.0, -0.0, 0.5, 1.0, 2.5, -2.5, 5.0, 20.5, 100.0, 0.1, 1 / 3, 1e-3, 9.99e-4, 1e-4, 1e-7,
        5e-324, 1e14 + 0.5, 1e15, 1e15 + 0.5, 1e16, 1e22, 2.0**53, 2.0**53 + 2, 1.7e308,
    ]),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
STRINGS: Values = st.one_of(
    st.sampled_from([
        "", "1", "2", "01", "0", "-1", str(2**62 - 1), str(2**62), "a", "é", "e\u0301", "\uffff",
        "\U0001f600", '"', "\\", "\n", "\x00", "\x1f", "\x7f", "true", "1.5", "٥", " ", "NaN",
    ]),
    st.text(max_size=4),
)  # fmt: skip
BOOLS: Values = st.booleans()
HUGE: Values = st.sampled_from([2**63, 2**64 - 1, 10**30, -(10**20)])
BAD: Values = st.sampled_from([{"x": 1}, [{}], [[1]], {}])
NUMBERS: Values = st.sampled_from([4, 5, 6, 20, 21, 100, -1, 2**53 + 1])
PARTS: Values = st.sampled_from([4.99, 5.0, 20.5, 20.4999, 100.0, 1e300, -0.0])
NUMERIC: Values = st.sampled_from(["4.99", "5", "20.5", "1e2", "+5", ".5", "5.", "9e99"])
NO_NUMERIC: Values = st.sampled_from(["", " 5", "5 ", "x", "1e99999999999999999999", "٥", True])


def _lists(values: Values) -> Values:
    return st.lists(st.one_of(values, values, values, st.none()), max_size=4)


_SCALARS = [INTS, FLOATS, STRINGS, BOOLS]
SCALARS = [*_SCALARS, INTS, STRINGS, st.one_of(*_SCALARS), st.one_of(INTS, FLOATS), HUGE]
LISTS = [*map(_lists, SCALARS), *SCALARS, st.one_of(_lists(INTS), INTS)]


@st.composite
def batches(draw: st.DrawFn, most: int = 8) -> Batch:
    """A source's plan and some records; of some batches no record lacks a field."""
    plan = _plan(*(draw(st.sampled_from(range(len(choices)))) for choices in _CHOICES.values()))
    fields = {path: draw(st.sampled_from(kinds)) for path, kinds in _kinds(plan).items()}
    times, users = draw(st.sampled_from(_times(plan))), draw(st.sampled_from(_USERS))
    records, whole = [], draw(st.booleans())
    for _ in range(draw(st.integers(1, most))):
        record: Record = {}
        for path, values in fields.items():
            value = draw(values if whole else st.one_of(values, values, values, st.none()))
            if value is not None or draw(st.booleans()):
                put(record, path, value)
        put(record, plan.source.user, draw(users))
        put(record, plan.source.time.field, draw(times))
        if draw(now_and_then(8)):
            put(record, draw(st.sampled_from(sorted(fields))), draw(BAD))
        records.append(record)
    return plan, records


_CHOICES: dict[str, list[Any]] = {
    "time": [{"field": "t", "unit": unit} for unit in ("ms", "s", "us", "iso8601")],
    "event_id": [None, "id", ["id"], ["id", "i"]],
    "actions": [
        {"field": "a"},
        {"field": "a"},
        {"flags": {"LIKE": "liked", "BUY": "by.bought"}},
        {"always": ["VIEW", "BUY"]},
        None,
    ],
    "end": [None, {"field": "a", "in": ["OUT"]}, {"field": "bye", "in": [True, 1, 2.5, "é"]}],
    "categories": [SOURCE["categories"], None],
    "features": [SOURCE["features"], {"likes": {"add": "add"}}],
    "where": [None, None, {"field": "a", "in": ["VIEW", 1]}, {"field": "agent", "in": ["a", 1]}],
}
"""The forms that a source's keys may have; the rest of it is the shop's."""


@cache
def _plan(*picked: int) -> Plan:
    forms = zip(_CHOICES.items(), picked, strict=True)
    return shop(**{key: choices[pick] for (key, choices), pick in forms})


def json_of(record: Record) -> bytes:
    """A record as a line of JSON."""
    return json.dumps(record, ensure_ascii=False).encode()


_USERS: list[Values] = [
    st.sampled_from(["x", "y", "1", "ü"]),
    st.sampled_from([1, 2, 2**62]),
    st.sampled_from(["x", 1, 1.0, 1.5, True, "", None, [1]]),
]


def _kinds(plan: Plan) -> dict[str, list[Values]]:
    """What a field may hold, by its use."""
    source, names = plan.source, STRINGS
    kinds: dict[str, list[Values]] = dict.fromkeys(plan.fields, SCALARS)
    lists = [*source.categories.values()]
    for feature in source.features.values():
        lists += [
            path
            for use in ("add", "remove", "snapshot")
            if (path := getattr(feature, use, None)) is not None
        ]
        if isinstance(feature, ScalarField) and feature.bins:
            kinds[feature.field] = [NUMBERS, PARTS, NUMERIC, st.one_of(NUMBERS, PARTS), NO_NUMERIC]
    kinds |= dict.fromkeys(lists, LISTS)
    named: Values = st.sampled_from(["VIEW", "LIKE", "BUY", "OUT"])
    if source.actions and hasattr(source.actions, "field"):
        kinds[source.actions.field] = [named, _lists(named), st.one_of(named, names, INTS)]
    if source.actions and hasattr(source.actions, "flags"):
        flags: list[Values] = [BOOLS, INTS, FLOATS, NUMERIC, st.one_of(BOOLS, INTS), NO_NUMERIC]
        kinds |= dict.fromkeys(source.actions.flags.values(), flags)
    kinds.pop(source.user, None)
    kinds.pop(source.time.field, None)
    return kinds


def _times(plan: Plan) -> list[Values]:
    """Event times as a unit may be written, right and wrong."""
    if plan.source.time.unit == "iso8601":
        return [
            st.sampled_from(["2023-11-14T22:13:20", "2023-11-14T22:13:20.001999Z"]),
            st.sampled_from([
                "2023-11-14T22:13:20+05:30", "2023-11-14", "2023-02-30T00:00:00", "noon", T, None,
                "20231114T221320Z", "1989-12-31T23:59:59.999999", "1990-01-01T00:00:00", "",
                "2199-12-31T23:59:59.999Z", "2200-01-01T00:00:00Z", "2023-11-14T24:00:00",
                "2023-11-14T22:13:60", "2023-11-14t22:13:20z", "2023-11-14 22:13:20",
                "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", ["2023-11-14T22:13:20"],
            ]),
        ]  # fmt: skip
    unit = {"ms": 1, "s": 1000, "us": 1}[plan.source.time.unit]
    base = T * 1000 if plan.source.time.unit == "us" else T // unit
    return [
        st.integers(0, 5).map(lambda n: base + n),
        st.sampled_from([base + 0.5, base + 0.001, base + 0.002, float(base), base + 0.999]),
        st.sampled_from([str(base), f"{base}.999999", f"{base}e0", f"+{base}", f"{base}.0005"]),
        st.sampled_from([
            base, str(base), base + 0.5, None, "", "x", -1, True, [base], 1e300, "1e400", 10**40,
            0, 2**63, "1e99999999999999999999", base * 1000, base // 1000,
        ]),
    ]  # fmt: skip
