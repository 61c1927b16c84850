"""Feature specs: four sources, small bounds, every option now and then."""

from typing import Any

from hypothesis import strategies as st

from tests.strategies.weights import now_and_then

Spec = dict[str, Any]
ACTIONS = ["VIEW", "LIKE", "BUY"]
GAP = 1000  # ms
_SCALARS = {
    "land": {"field": "geo.land"},
    "device": {"field": "agent\\.name", "nulls": "value"},
    "price": {"field": "price", "bins": [5, 20.5, 100]},
}


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """A valid spec as its YAML reads, with small numbers so that every bound is met."""
    attribution = draw(st.sampled_from([0, 300, GAP, GAP]))
    members = st.integers(1, 3)
    spec: Spec = {
        "version": 1,
        "name": "drawn",
        "sources": {
            "events": draw(_events()),
            "clicks": draw(_clicks()),
            "follows": draw(_follows()),
            "erasures": {"user": "user", "time": draw(_times()), "erase": True},
        },
        "actions": ACTIONS,
        "positive": ["LIKE", "BUY"],
        "features": dict(
            draw(
                st.permutations(
                    [
                        *((name, "scalar") for name in _SCALARS),
                        ("followed", {"kind": "set", "max_members": draw(members)}),
                        ("joined", {"kind": "set", "max_members": draw(members)}),
                    ]
                )
            )
        ),
        "categories": ["creator", "topics"],
        "session": {"gap": f"{GAP}ms"},
        "attribution": f"{attribution}ms",
        "history": {"contents": draw(st.sampled_from([1, 2, 3, 4, 6, 50]))},
    }
    if draw(now_and_then(60)):
        spec["history"]["tokens"] = draw(st.sampled_from([2, 3, 4, 5, 7, 9, 12, 16, 24]))
    if draw(now_and_then(35)):
        spec["session"]["max_contents"] = draw(st.integers(1, 4))
    if draw(now_and_then(45)):
        spec["retention"] = f"{GAP + attribution + draw(st.sampled_from([1, 500, 2000]))}ms"
    if draw(now_and_then(25)):
        budget, seed = draw(st.integers(1, 16)), draw(st.integers(0, 3))
        spec["sampling"] = {"tokens": budget, "seed": seed}
    return spec


def _times() -> st.SearchStrategy[Any]:
    """A source's time: in ms mostly, and in each other unit."""
    units = [{"field": "at", "unit": unit} for unit in ("ms", "s", "us", "iso8601")]
    return st.sampled_from(["at", "at", *units])


@st.composite
def _events(draw: st.DrawFn) -> Spec:
    """A source of everything."""
    source: Spec = {
        "user": "user",
        "time": draw(_times()),
        "event_id": draw(st.sampled_from(["id", "id", ["id"], ["id", "part"]])),
        "item": "item",
        "actions": {"field": "kind"},
        "categories": {"creator": "creator", "topics": "about.topics"},
        "dropped": ["ctr"],
        "features": {**_SCALARS, "followed": {"add": "follow", "remove": "unfollow"}},
    }
    if draw(now_and_then(70)):
        source["end"] = draw(
            st.sampled_from([{"field": "kind", "in": ["OUT"]}, {"field": "bye", "in": [True, 1]}])
        )
    if draw(now_and_then(25)):
        source["where"] = {"field": "kind", "in": [*draw(st.sampled_from([ACTIONS, ["LIKE"]]))]}
    return source


@st.composite
def _clicks(draw: st.DrawFn) -> Spec:
    """A second source of engagements with the same items; perhaps without event ids."""
    source: Spec = {"user": "who.id", "time": draw(_times()), "item": "item"}
    actions = [{"flags": {"LIKE": "liked", "BUY": "bought"}}, {"always": ["VIEW"]}, None]
    chosen = draw(st.sampled_from(actions))
    source |= {"actions": chosen} if chosen else {}
    source |= {"event_id": "id"} if draw(st.booleans()) else {}
    return source


@st.composite
def _follows(draw: st.DrawFn) -> Spec:
    """A source of features alone; it shares one with `events`."""
    followed = st.sampled_from([{"add": "follow"}, {"add": "follow", "remove": "unfollow"}])
    device = {"field": "device", "nulls": draw(st.sampled_from(["skip", "value"]))}
    features = {"joined": {"snapshot": "all"}, "followed": draw(followed), "device": device}
    return {"user": "user", "time": draw(_times()), "event_id": "id", "features": features}
