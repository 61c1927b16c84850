"""Whole cases: a spec and the raw records of its sources, in any order of arrival."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.oracles.settings import Settings, settings_of
from tests.strategies.records import (
    USERS,
    Fields,
    Record,
    faults,
    fields_of,
    put,
    records,
)
from tests.strategies.specs import Spec, specs
from tests.strategies.weights import now_and_then, weighted

Case = tuple[Spec, dict[str, list[Record]]]
START = 1_700_000_000_000  # ms
_DAY = 86_400_000
_SOURCES = [*["events"] * 14, *["clicks"] * 6, *["follows"] * 4, "erasures"]
_DAMAGED = [
    b"{", b"[1]", b"null", b'"text"', b"{}", b'{"user":NaN}', b'{"user":"\\ud800"}',
    b'{"a":"\xff"}', b'{"user":1,"user":2}', b"\xef\xbb\xbf{}", b'{"user":1} x', b'{"user":01}',
    b"", b"  ", b"1e999",
]  # fmt: skip


@st.composite
def cases(draw: st.DrawFn, max_records: int = 26) -> Case:
    """A spec and {source: raw records}: few users and items, times that meet the bounds.

    Most records are valid. A source's records come shuffled; every source is there, some empty.
    """
    spec = draw(specs())
    return spec, draw(streams(spec, max_records))


@st.composite
def long_cases(draw: st.DrawFn, max_records: int = 16) -> Case:
    """The same over days, weeks or years: a stream on each of some days, of the same users."""
    spec = draw(specs())
    days = draw(st.lists(st.sampled_from([0, 1, 2, 8, 70, 75, 200, 500]), min_size=1, max_size=4))
    parts = [draw(streams(spec, max_records, START + day * _DAY)) for day in days]
    return spec, {name: [raw for part in parts for raw in part[name]] for name in spec["sources"]}


@st.composite
def streams(
    draw: st.DrawFn, spec: Spec, max_records: int, start: int = START
) -> dict[str, list[Record]]:
    """The raw records of the sources of a spec, as in `cases`, from a time on, ms."""
    sources: dict[str, list[Record]] = {name: [] for name in spec["sources"]}
    forms = {name: _Form.of(source) for name, source in spec["sources"].items()}
    steps = _steps(settings_of(spec))
    clocks = dict.fromkeys(USERS, start)
    users = draw(st.sampled_from([USERS[:1], USERS[:1], USERS[:2], USERS]))
    for _ in range(draw(_counts(max_records))):
        user, name = draw(st.sampled_from(users)), draw(st.sampled_from(_SOURCES))
        clocks[user] += draw(steps)
        sources[name] += draw(_events_of(forms[name], user, clocks[user]))
        if draw(now_and_then(3)):
            sources["events"] += draw(_interrupted(forms["events"], user, clocks[user]))
    return {name: draw(st.permutations(each)) for name, each in sources.items()}


def _counts(most: int) -> st.SearchStrategy[int]:
    """How many records a case has: mostly near the most, in which more happens."""
    return st.one_of(st.integers(1, most), st.integers(most // 2, most))


@dataclass(frozen=True)
class _Form:
    """A source of a spec, with the strategies of its fields made once."""

    source: dict[str, Any]
    staying: Fields
    leaving: Fields
    faults: st.SearchStrategy[tuple[str, Any]]

    @classmethod
    def of(cls, source: dict[str, Any]) -> "_Form":
        return cls(source, fields_of(source), fields_of(source, leave=True), faults(source))


def _steps(settings: Settings) -> st.SearchStrategy[int]:
    """Times between a user's records, ms: none, little, and each bound and what is beside it."""
    near, gap = settings.attribution, settings.gap
    choices: list[tuple[int, list[int]]] = [
        (5, [0]),
        (6, [1, 7, 100, 150]),
        (4, [gap - 1, gap, gap, gap + 1]),
        (1, [gap - 100, gap - near, 1500]),
    ]
    choices += [(3, [near - 1, near, near + 1, near - 7])] if near else []
    bound = settings.retention
    choices += [(2, [bound - 1, bound, bound, bound + 1, 2 * bound])] if bound else []
    return weighted(*choices)


@st.composite
def _events_of(draw: st.DrawFn, form: _Form, user: str, ms: int) -> list[Record]:
    """One record at a time; perhaps with a copy, of other content or not; perhaps at fault."""
    fields = form.leaving if draw(now_and_then(16)) else form.staying
    record = draw(records(form.source, fields, user, ms))
    if draw(now_and_then(6)):
        path, value = draw(form.faults)
        put(record, path, value)
        return [record]
    if not draw(now_and_then(10)):
        return [record]
    other = draw(records(form.source, form.staying, user, ms))
    event_id = form.source.get("event_id", [])
    own = {*(event_id if isinstance(event_id, list) else [event_id])}
    same = {key: value for key, value in record.items() if key in own}
    rest = {key: value for key, value in other.items() if key not in own}
    return [record, draw(st.sampled_from([dict(record), {**rest, **same}]))]


@st.composite
def _interrupted(draw: st.DrawFn, form: _Form, user: str, ms: int) -> list[Record]:
    """An item, an end mark, another item, the first again: it may join over a session's end."""
    first, other = draw(st.permutations([1, 2, 3]))[:2]
    found = []
    for item, fields in [
        (first, form.staying),
        (None, form.leaving),
        (other, form.staying),
        (first, form.staying),
    ]:
        ms += draw(st.sampled_from([1, 50, 100]))
        record = draw(records(form.source, fields, user, ms))
        put(record, form.source["item"], item)
        found.append(record)
    return found


def damaged_lines() -> st.SearchStrategy[bytes]:
    """Lines that are no record of the format, no usable one, or blank; without a line end."""
    return st.sampled_from(_DAMAGED)


def as_jsonl(raws: list[Record | bytes]) -> bytes:
    """Records as lines of JSON in UTF-8; bytes stand as they are, each as one line."""
    lines = [raw if isinstance(raw, bytes) else _line(raw) for raw in raws]
    return b"".join(line + b"\n" for line in lines)


def _line(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
