"""`phia check`: what a spec would do, in words."""

import pytest

from pipeline.check import compared, described
from schemas.failures import UsageError
from schemas.fingerprint import fingerprint
from tests.machine import spec_of
from tests.oracles import shop


def test_a_plain_spec() -> None:
    spec = spec_of(shop.spec_of())
    assert [*described(spec)] == [
        f"shop: good; fingerprint {fingerprint(spec)}",
        "  e (json): engagements with i, land, held, price, likes, ends of sessions",
        "  x (json): erasures",
        "  sessions: gap 1s; horizon 10m",
        "  history: 4,096 contents, 16,384 tokens",
    ]


def test_every_option_is_said() -> None:
    written = shop.spec_of(
        session={"gap": "30m", "max_contents": 1000},
        attribution="5m",
        retention="400d",
        sampling={"tokens": 2048, "seed": 7},
    )
    written["sources"]["e"]["dropped"] = ["ctr", "dwell"]
    written["sources"]["quiet"] = {"user": "u", "time": "t"}
    lines = [*described(spec_of(written))]
    for line in (
        "  quiet (json): nothing",
        "  sessions: gap 30m, at most 1,000 contents; horizon 10m",
        "  attribution: 5m; actions may know of later contents",
        "  retention: 400d",
        "  sampling: about 2,048 tokens a session, seed 7",
    ):
        assert line in lines
    assert "2 numerical fields dropped" in lines[1]


def test_against_another_spec_it_says_what_is_gained() -> None:
    old = shop.spec_of()
    new = {**old, "features": {**old["features"], "more": "scalar"}}
    new["sources"] = {**old["sources"], "g": {"user": "u", "time": "t"}}
    was, now = spec_of(old), spec_of(new)
    assert [*compared(now, was)] == [
        "shop: state can be kept; gains source g, feature more",
        f"  fingerprint {fingerprint(was)} → {fingerprint(now)}",
    ]
    assert next(compared(was, was)) == "shop: state can be kept; gains nothing"


def test_against_another_spec_it_names_all_that_state_cannot_bear() -> None:
    new = spec_of(shop.spec_of(session={"gap": "2s"}, attribution="1s"))
    with pytest.raises(UsageError) as refused:
        list(compared(new, spec_of(shop.spec_of())))
    assert str(refused.value) == (
        "shop: state can't be kept: session.gap: 1s → 2s; attribution: 0s → 1s; start a new job "
        "from earliest into a new topic and folder, or undo the change"
    )
