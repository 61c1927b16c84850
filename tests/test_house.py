"""The rules of the house hold, and would be seen not to hold."""

from collections.abc import Callable, Iterator

import pytest

from tests.house import ROOMS, clocks, cycle, dangers, sources, too_long, wrong_arrows

Rule = Callable[[str, str], Iterator[str]]

SOURCES = sources()


def test_the_rooms_are_there() -> None:
    assert {"schemas.spec", "transforms.core", "pipeline"} <= SOURCES.keys()
    assert set(ROOMS) >= {"schemas", "transforms", "transforms.core", "pipeline"}


@pytest.mark.parametrize("rule", [wrong_arrows, clocks, too_long, dangers])
@pytest.mark.parametrize("module", SOURCES)
def test_every_module_keeps_the_rule(module: str, rule: Rule) -> None:
    assert list(rule(module, SOURCES[module])) == []


def test_no_import_cycles() -> None:
    assert cycle(SOURCES) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("schemas.ids", "import transforms"),
        ("schemas.ids", "from kafka_client import clients"),
        ("schemas.ids", "import time"),
        ("transforms.core.order", "import apache_beam as beam"),
        ("transforms.core.order", "def f():\n    from kafka import KafkaConsumer"),
        ("transforms.core.order", "from transforms import sequences"),
        ("transforms.core.order", "from ..stages import cut"),
        ("transforms.core.order", "from random import random"),
        ("transforms.core.order", "import torch.nn"),
        ("transforms.sequences", "import pipeline.cli"),
        ("transforms.sequences", "import torch"),
        ("kernels.hstu", "from schemas import ids"),
        ("model.reader", "import transforms.core.order"),
        ("model.reader", "import apache_beam"),
        ("pipeline.cli", "from tests.oracles import oracle"),
    ],
)
def test_a_wrong_arrow_is_seen(module: str, line: str) -> None:
    assert len(list(wrong_arrows(module, line))) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("schemas.load", "from schemas.spec import Spec\nimport json"),
        ("transforms.core.order", "from schemas import ids\nfrom . import arrays"),
        ("transforms.sequences", "import apache_beam as beam\nfrom transforms.core import order"),
        ("pipeline.cli", "import transforms.sequences, model.trainer, time"),
    ],
)
def test_a_right_arrow_is_let_be(module: str, line: str) -> None:
    assert list(wrong_arrows(module, line)) == []


def test_a_look_at_the_clock_is_seen() -> None:
    look = "from datetime import datetime\nx = datetime.now()"
    assert list(clocks("transforms.core.order", look)) == ["transforms.core.order:2: datetime.now"]
    assert list(clocks("pipeline.cli", look)) == []
    assert list(clocks("schemas.ids", "from datetime import datetime\ndatetime(1990, 1, 1)")) == []


def test_a_cycle_is_seen() -> None:
    texts = {"a": "import b", "b": "def f():\n    from c import x", "c": "from a import y", "d": ""}
    assert cycle(texts) == ["a", "b", "c", "a"]
    assert cycle(texts | {"c": "import d"}) == []


def test_what_is_too_long_is_seen() -> None:
    function = "def f():\n" + "    x = 1\n" * 60
    assert list(too_long("m", function)) == ["m:1: f has 61 lines"]
    kernel = "@triton.jit\n" + "def f():\n" + "    x = 1\n" * 159
    assert list(too_long("m", kernel)) == []
    assert list(too_long("m", f"{kernel}    x = 1\n")) == ["m:2: f has 161 lines"]
    assert list(too_long("m", "\n" * 401)) == ["m: 401 lines, 400 at most"]
    assert list(too_long("m", "\n" * 400)) == []


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept Exception as e:\n    raise",
        "try:\n    f()\nexcept (ValueError, BaseException):\n    pass",
        "import pickle\npickle.loads(x)",
        "import cloudpickle\ncloudpickle.load(x)",
        "from pickle import loads",
        "eval('1')",
    ],
)
def test_a_danger_is_seen(text: str) -> None:
    assert len(list(dangers("m", text))) == 1


def test_what_is_no_danger_is_let_be() -> None:
    text = "import json\ntry:\n    json.loads(x)\nexcept (ValueError, OSError):\n    pass"
    assert list(dangers("m", text)) == []
