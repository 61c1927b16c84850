"""The layout of a stream's state: what of a spec decides how its bytes are read, as one JSON text.

It travels with the state. State that another spec wrote is kept where this one only grew from it;
all else that changes what state means is named, so that it can be refused.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.durations import written
from schemas.fingerprint import meaning
from schemas.ids import canonical_json
from schemas.spec import Spec

STATE = 1
"""The version of the state's cells; raised when they are written in another way."""

WAY_OUT = "start a new job from earliest into a new topic and folder, or undo the change"

_AT_THE_END = " (new ones stand at the end)"
_ABSENT = object()

Layout = Mapping[str, Any]


def layout_of(spec: Spec, shards: int) -> str:
    """The layout of the state that this spec writes into so many shards."""
    return canonical_json({"state": STATE, "shards": shards, "spec": meaning(spec)})


def refusals(old: str, new: str) -> list[str]:
    """What changed, as `place: old → new`, so that state of the old layout cannot be kept."""
    was, now = json.loads(old), json.loads(new)
    before, after = was["spec"], now["spec"]
    return [
        *_unlike("state", was["state"], now["state"]),
        *_unlike("--shards", was["shards"], now["shards"]),
        *_unlike("rules", before["rules"], after["rules"]),
        *_of_sources(before["sources"], after["sources"]),
        *_of_lists(before, after),
        *_of_numbers(before, after),
    ]


def gains(old: str, new: str) -> list[str]:
    """What the new layout has and the old has not, in words."""
    before, after = json.loads(old)["spec"], json.loads(new)["spec"]
    return [
        f"{called} {name}"
        for called, key in (
            ("source", "sources"),
            ("action", "actions"),
            ("feature", "features"),
            ("category", "categories"),
        )
        for name in _names(after[key])
        if name not in _names(before[key])
    ]


def sources_of(layout: str) -> list[str]:
    """The names of the sources that the numbers in waiting observations mean (S2)."""
    return sorted(json.loads(layout)["spec"]["sources"], key=str.encode)


def _names(declared: Any) -> list[str]:
    """The names among sources, actions, categories, or features with their kinds."""
    return [each[0] if isinstance(each, list) else each for each in declared]


def _of_sources(before: Layout, after: Layout) -> Iterator[str]:
    for name, source in before.items():
        place = f"sources.{name}"
        if name in after:
            yield from _of_source(place, source, after[name])
        else:
            yield f"{place}: there → absent"


def _of_source(place: str, before: Layout, after: Layout) -> Iterator[str]:
    """A source may map more features and categories, and have more flags."""
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key, _ABSENT), after.get(key, _ABSENT)
        if key in ("features", "categories"):
            yield from _gone(f"{place}.{key}", before.get(key, {}), after.get(key, {}))
        elif key == "actions" and _are_flags(was) and _are_flags(now):
            yield from _gone(f"{place}.actions.flags", was["flags"], now["flags"])
        else:
            yield from _unlike(f"{place}.{key}", was, now)


def _are_flags(actions: Any) -> bool:
    return isinstance(actions, dict) and "flags" in actions


def _gone(place: str, before: Layout, after: Layout) -> Iterator[str]:
    for name, was in before.items():
        yield from _unlike(f"{place}.{name}", was, after.get(name, _ABSENT))


def _of_lists(before: Layout, after: Layout) -> Iterator[str]:
    """Places among actions and features are ids and token types; those of categories are none."""
    for number, was in enumerate(before["actions"]):
        now = after["actions"][number] if number < len(after["actions"]) else _ABSENT
        yield from _unlike(f"actions[{number}]", was, now, _AT_THE_END)
    for number, (name, *kind) in enumerate(before["features"]):
        found = after["features"][number] if number < len(after["features"]) else [_ABSENT]
        yield from _unlike(f"features[{number}]", name, found[0], _AT_THE_END)
        if name == found[0]:
            yield from _unlike(f"features.{name}", kind, found[1:])
    for name in before["categories"]:
        if name not in after["categories"]:
            yield f"categories: {name} → absent"


def _of_numbers(before: Layout, after: Layout) -> Iterator[str]:
    """N may be lowered, and M be anything: each sequence is cut to them anew."""
    for place, was, now in zip(
        ("session.gap", "session.max_contents"), before["session"], after["session"], strict=True
    ):
        yield from _unlike(place, was, now)
    for key in ("attribution", "retention"):
        yield from _unlike(key, before[key], after[key])
    contents = before["history"][0], after["history"][0]
    if contents[1] > contents[0]:
        yield from _unlike("history.contents", *contents, " (older ones are gone; it may be lower)")


_DURATIONS = ("session.gap", "attribution", "retention")


def _unlike(place: str, was: Any, now: Any, hint: str = "") -> Iterator[str]:
    if was != now:
        yield f"{place}: {_shown(place, was)} → {_shown(place, now)}{hint}"


def _shown(place: str, value: Any) -> str:
    if value is _ABSENT or value is None:
        return "absent"
    if place in _DURATIONS:
        return written(value)
    return value if isinstance(value, str) else canonical_json(value)
