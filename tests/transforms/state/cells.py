"""The cells of one shard, and a reader's restriction, as the coders of a job write them."""

import base64
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from apache_beam.coders import Coder
from apache_beam.transforms.userstate import StateSpec
from apache_beam.utils.timestamp import Timestamp

from pipeline.kafka.reading import Reading, ReadingCoder, Reported, start_of
from schemas.spec import Spec
from tests.machine import spec_of
from tests.oracles import shop
from tests.oracles.shop import T
from tests.outcome import Row
from tests.transforms.stage import Stage
from tests.transforms.streaming import arriving
from transforms import sessions
from transforms.core import archive

Sources = dict[str, list[Row]]
Cells = dict[str, list[str]]

SPECS: dict[str, StateSpec] = {
    spec.name: spec
    for spec in (sessions.WAITING, sessions.HELD, sessions.RECENT, *sessions.ARCHIVE,
                 sessions.FINAL, sessions.DUE)
}  # fmt: skip


def spec() -> Spec:
    """A spec with a feature of each kind, a category and an erase source."""
    return spec_of(shop.spec_of(horizon="500ms", attribution="300ms", retention="10d"))


def before() -> Sources:
    """What arrives before the state is stored: sessions of two users, an end mark, an erasure of
    a third, a copy, a set that changes; and some that are not complete yet."""
    views = [
        shop.at(second * 1500, i=second % 4 + 1, a="VIEW", c=[7, "ä"], land="de", add=[second])
        for second in range(8)
    ]
    others = [
        {**shop.at(second * 1300, i="item", a="LIKE", price=second), "u": "ü"}
        for second in range(9)
    ]
    gone = [{**shop.at(100, i=9, a="BUY"), "u": "gone"}, {**shop.at(200, a="OUT"), "u": "ü"}]
    open_ = [shop.at(20_000, i=1, a="VIEW", rem=[2]), shop.at(20_100, i=1, a="LIKE", held=None)]
    return {"e": [*views, *others, *gone, *open_, views[2]], "x": [{"u": "gone", "t": T + 900}]}


def after() -> Sources:
    """What arrives afterwards."""
    late = [shop.at(20_200, i=2, a="BUY", land="fr"), shop.at(40_000, i=5, a="VIEW", add=[1, 2])]
    return {"e": [*late, {**shop.at(30_000, i="item", a="VIEW"), "u": "ü"}], "x": []}


def stored() -> Stage:
    """A shard after some firings: it has something in each kind of cell."""
    stage = Stage(spec(), interval=500)
    rows = arriving(stage.spec, before())
    times = np.asarray(rows["time"])
    for past, at, recent_bytes in ((0, 6_000, 1), (6_000, 9_000, 1), (9_000, 20_500, 4 << 20)):
        stage.take(rows.filter(pa.array((times >= T + past) & (times < T + at))))
        with patch.object(archive, "RECENT_BYTES", recent_bytes):
            stage.fire(T + at)
    stage.come_due(T + 20_900)  # and it has not fired for that yet
    return stage


def written(stage: Stage) -> Cells:
    """The bytes of each cell, one text for each value or element of a bag."""
    values: dict[str, list[Any]] = {name: bag.read() for name, bag in stage.bags.items()}
    values |= {name: bag.read() for name, bag in stage.cells.items()}
    values |= {"final": [stage.final.value], "due": [stage.due.value]}
    return {name: [_text(SPECS[name].coder, one) for one in values[name]] for name in SPECS}


def read(cells: Cells) -> Stage:
    """A stage of the spec with these cells."""
    stage = Stage(spec(), interval=500)
    for name, texts in cells.items():
        for text in texts:
            value = SPECS[name].coder.decode(base64.b64decode(text))
            if isinstance(value, pa.RecordBatch):
                {**stage.bags, **stage.cells}[name].add(value)
            else:
                getattr(stage, name).write(value)
    return stage


def reading() -> Reading:
    """Where a reader of two topics stands."""
    places = {"e/0": 17, "x/0": 2**40}
    start = replace(
        start_of(places, None),
        heard=dict.fromkeys(places, T),
        newest={"e/0": T + 20_100},
        watermark=T,
        clock=T + 5,
    )
    return replace(start, readers=2)


def restriction() -> list[str]:
    """The bytes of the restriction and of the watermark that was reported."""
    reported = Timestamp(micros=T * 1000)
    coder = Reported().estimator_state_coder()
    return [_text(ReadingCoder(), reading()), _text(coder, reported)]


def _text(coder: Coder, value: Any) -> str:
    return base64.b64encode(coder.encode(value)).decode()
