"""Which changes of a spec leave the meaning of state as it was, and which are refused."""

import json
from copy import deepcopy
from typing import Any

import pytest

from schemas.layout import gains, layout_of, refusals, sources_of
from tests.machine import spec_of
from tests.oracles import shop

Written = dict[str, Any]


def base() -> Written:
    spec = shop.spec_of(
        positive=["LIKE"],
        attribution="300ms",
        history={"contents": 10, "tokens": 30},
        retention="1d",
    )
    spec["sources"]["f"] = {
        "user": "u",
        "time": "t",
        "item": "i",
        "actions": {"flags": {"LIKE": "liked"}},
        "where": {"field": "a", "in": [1]},
    }
    return spec


def changed(place: str, value: Any) -> Written:
    """The spec with the value at a place, or without what is there where that is None."""
    spec = base()
    *way, last = place.split(".")
    part = spec
    for key in way:
        part = part.setdefault(key, {})
    if value is None:
        del part[last]
    else:
        part[last] = value
    return spec


def told(old: Written, new: Written) -> list[str]:
    return refusals(layout_of(spec_of(old), 8), layout_of(spec_of(new), 8))


FEATURES = {"land": "scalar", "held": "scalar", "price": "scalar", "likes": "set"}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("name", "store"),
        ("horizon", "1h"),
        ("sampling", {"tokens": 9}),
        ("watermark", {"skew": "2h"}),
        ("limits", {"record_bytes": 9}),
        ("positive", ["VIEW", "BUY"]),
        ("history.contents", 9),
        ("history.tokens", 2),
        ("history.tokens", 300),
        ("sources.e.format", "parquet"),
        ("sources.e.dropped", ["ctr"]),
        ("sources.a", {"user": "u", "time": "t"}),
        ("sources.f.features", {"land": {"field": "there"}}),
        ("sources.f.categories", {"topic": "about"}),
        ("sources.f.actions", {"flags": {"LIKE": "liked", "BUY": "bought"}}),
        ("actions", ["VIEW", "LIKE", "BUY", "SHARE"]),
        ("features", {**FEATURES, "more": "scalar", "joined": "set"}),
        ("categories", ["maker", "topic"]),
    ],
)
def test_what_state_does_not_depend_on_or_only_grows_is_kept(place: str, value: Any) -> None:
    assert told(base(), changed(place, value)) == []


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        ("session.gap", "2s", "session.gap: 1s → 2s"),
        ("session.max_contents", 5, "session.max_contents: absent → 5"),
        ("attribution", "0s", "attribution: 300ms → 0s"),
        ("retention", "2d", "retention: 1d → 2d"),
        ("retention", None, "retention: 1d → absent"),
        (
            "history.contents",
            11,
            "history.contents: 10 → 11 (older ones are gone; it may be lower)",
        ),
        ("actions", ["VIEW", "LIKE", "ALL"], "actions[2]: BUY → ALL (new ones stand at the end)"),
        ("actions", ["VIEW", "LIKE"], "actions[2]: BUY → absent (new ones stand at the end)"),
        ("sources.e.time", "at", 'sources.e.time: {"field":"t"} → {"field":"at"}'),
        ("sources.e.event_id", None, "sources.e.event_id: id → absent"),
        ("sources.e.item", "j", "sources.e.item: i → j"),
        ("sources.e.categories.topic", "k", "sources.e.categories.topic: c → k"),
        ("sources.e.end.in", ["BYE"], 'sources.e.end: ["a",["OUT"]] → ["a",["BYE"]]'),
        ("sources.f.where", None, 'sources.f.where: ["a",["1"]] → absent'),
        ("sources.e.features.land", None, 'sources.e.features.land: {"field":"land"} → absent'),
        (
            "sources.e.features.price.bins",
            [5, 20],
            'sources.e.features.price: {"bins":[5,20,100],"field":"price"} → '
            '{"bins":[5,20],"field":"price"}',
        ),
        (
            "sources.f.actions.flags.LIKE",
            "hearts",
            "sources.f.actions.flags.LIKE: liked → hearts",
        ),
        ("sources.x", None, "sources.x: there → absent"),
        (
            "features.likes",
            {"kind": "set", "max_members": 9},
            'features.likes: ["set",4096] → ["set",9]',
        ),
    ],
)
def test_what_changes_the_meaning_of_state_is_named(place: str, value: Any, line: str) -> None:
    assert told(base(), changed(place, value)) == [line]


def test_features_keep_their_places_and_kinds() -> None:
    swapped = changed("features", {"held": "scalar", **FEATURES})
    assert told(base(), swapped) == [
        "features[0]: land → held (new ones stand at the end)",
        "features[1]: held → land (new ones stand at the end)",
    ]
    fewer = changed("features", {name: FEATURES[name] for name in ("land", "held", "price")})
    del fewer["sources"]["e"]["features"]["likes"]
    assert "features[3]: likes → absent (new ones stand at the end)" in told(base(), fewer)
    other = changed("features", {**FEATURES, "held": "set"})
    other["sources"]["e"]["features"]["held"] = {"add": "held"}
    assert 'features.held: ["scalar"] → ["set",4096]' in told(base(), other)


def test_a_category_that_is_gone_is_named() -> None:
    fewer = changed("categories", [])
    del fewer["sources"]["e"]["categories"]
    assert "categories: topic → absent" in told(base(), fewer)


def test_shards_rules_and_the_form_of_the_state_are_the_same() -> None:
    spec = spec_of(base())
    assert refusals(layout_of(spec, 8), layout_of(spec, 16)) == ["--shards: 8 → 16"]
    other = json.loads(layout_of(spec, 8))
    other["state"], other["spec"]["rules"] = 2, 7
    assert refusals(layout_of(spec, 8), json.dumps(other)) == ["state: 1 → 2", "rules: 1 → 7"]


def test_what_is_gained_is_named() -> None:
    new = deepcopy(base())
    new["actions"] = [*new["actions"], "SHARE"]
    new["features"] = {**FEATURES, "more": "scalar"}
    new["categories"] = ["topic", "maker"]
    new["sources"]["g"] = {"user": "u", "time": "t"}
    layouts = [layout_of(spec_of(spec), 8) for spec in (base(), new)]
    assert gains(*layouts) == ["source g", "action SHARE", "feature more", "category maker"]
    assert gains(layouts[0], layouts[0]) == []


def test_sources_are_numbered_by_the_bytes_of_their_names() -> None:
    spec = base()
    spec["sources"]["é"] = spec["sources"]["z"] = {"user": "u", "time": "t"}
    spec["sources"]["ｚ"] = {"user": "u", "time": "t"}
    assert sources_of(layout_of(spec_of(spec), 8)) == ["e", "f", "x", "z", "é", "ｚ"]


def test_one_spec_has_one_text() -> None:
    other = base()
    other["sources"] = dict(reversed(other["sources"].items()))
    assert layout_of(spec_of(other), 8) == layout_of(spec_of(base()), 8)
