"""Specs that grew, and a stream that spans the growth: its first part observes nothing of it."""

import re
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from schemas.spec import Spec as Parsed
from tests.machine import decode, spec_of
from tests.oracles.content import paths_of
from tests.strategies.cases import streams
from tests.strategies.records import Record
from tests.strategies.specs import Spec, specs
from tests.strategies.weights import now_and_then
from transforms.core.arrays import ints

Sources = dict[str, list[Record]]


@dataclass(frozen=True)
class Growth:
    """An old spec and what it grew to; the records that come before and after; and the time, ms,
    up to which all is final when the old job stops. No time of a later record is before it."""

    old: Spec
    new: Spec
    before: Sources
    after: Sources
    final: int

    @property
    def sources(self) -> Sources:
        """All records by source."""
        return {name: self.before.get(name, []) + self.after[name] for name in self.after}


@st.composite
def growths(draw: st.DrawFn, max_records: int = 40) -> Growth:
    """A growth of every kind that keeps state, and a stream of few users."""
    new = draw(specs())
    new.pop("sampling", None)  # it draws by length, which what is cut anew may change
    old = draw(_shrunk(new))
    sources = draw(streams(new, max_records))
    moment, random = draw(st.floats(0, 1)), draw(st.randoms(use_true_random=False))
    return _parted(old, new, sources, moment, random)


@st.composite
def _shrunk(draw: st.DrawFn, new: Spec) -> Spec:
    """What a spec may have grown from. No feature that a gained field observes where it is absent
    is there: the first part would observe it."""
    for source in new["sources"].values():
        for field in source.get("features", {}).values():
            if field.get("nulls") == "value":
                field["nulls"] = "skip"
    old: Spec = deepcopy(new)
    names = list(old["features"])[: draw(st.integers(0, len(old["features"])))]
    old["features"] = {name: old["features"][name] for name in names}
    old["actions"] = old["actions"][: draw(st.integers(2, 3))]
    old["positive"] = [*draw(st.sets(st.sampled_from(old["actions"])))]
    old["categories"] = [one for one in new["categories"] if not draw(now_and_then(30))]
    for name in ("clicks", "follows", "erasures"):
        if draw(now_and_then(30)):
            del old["sources"][name]
    for source in old["sources"].values():
        _declared_alone(draw, old, source)
    _other_bounds(draw, old)
    return old


def _declared_alone(draw: st.DrawFn, old: Spec, source: Spec) -> None:
    for key in ("features", "categories"):
        if key in source:
            there = {name: at for name, at in source[key].items() if name in old[key]}
            source[key] = {n: at for n, at in there.items() if not draw(now_and_then(15))}
    flags = source.get("actions", {}).get("flags")
    if flags:
        source["actions"] = {"flags": {a: f for a, f in flags.items() if a in old["actions"]}}


def _other_bounds(draw: st.DrawFn, old: Spec) -> None:
    """Other bounds that keep state: N was larger, M and L anything."""
    old["history"]["contents"] += draw(st.sampled_from([0, 0, 1, 3]))
    if draw(st.booleans()):
        old["history"]["tokens"] = draw(st.integers(2, 24))
    old["horizon"] = f"{draw(st.sampled_from([0, 500, 600_000]))}ms"


def _parted(old: Spec, new: Spec, sources: Sources, moment: float, random: Random) -> Growth:
    parsed = spec_of(old), spec_of(new)
    timed = [
        (time, name, raw)
        for name, raws in sources.items()
        for raw in raws
        if (time := _time(parsed[1], name, raw)) is not None
    ]
    low, high = min((t for t, *_ in timed), default=0), max((t for t, *_ in timed), default=0)
    final = int(low + (high + 1000 - low) * moment)
    before: Sources = {name: [] for name in old["sources"]}
    after: Sources = {name: [] for name in new["sources"]}
    for time, name, raw in timed:
        if time > final and random.random() < 0.7:
            after[name].append(raw)
        elif name in before:
            stripped = _without(raw, paths_of(new["sources"][name]), paths_of(old["sources"][name]))
            if all(_time(spec, name, stripped) is not None for spec in parsed):
                before[name].append(stripped)
        elif time > final:
            after[name].append(raw)
    return Growth(old, new, before, after, final)


def _time(spec: Parsed, name: str, raw: Record) -> int | None:
    """The event time of a record that a spec accepts."""
    (part,) = decode(spec, {name: [raw]})
    return int(ints(part.rows["time"])[0]) if part.rows.num_rows else None


def _without(raw: Record, new: set[str], old: set[str]) -> Record:
    """A record without the fields that the new source names and the old does not."""
    found = deepcopy(raw)
    for path in new - old:
        *way, last = [step.replace("\\.", ".") for step in re.split(r"(?<!\\)\.", path)]
        within: Any = found
        for step in way:
            within = within.get(step) if isinstance(within, dict) else None
        if isinstance(within, dict):
            within.pop(last, None)
    return found
