"""`phia check`: what a spec would do, in words."""

from pipeline.check import described
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
