"""docs/spec.md says what the code does."""

import re
from pathlib import Path

import pytest

from schemas.durations import written
from schemas.fingerprint import fingerprint
from schemas.load import parse_spec
from schemas.sources import OF_ERASE
from schemas.spec import Feature, History, Session, Source, Spec
from tests.schemas.shop import LEAST
from transforms.core.decode.reject import LATE, Reason

TEXT = (Path(__file__).parents[2] / "docs" / "spec.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_are_right(example: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", fingerprint(parse_spec(example)))


def test_the_complete_example_has_every_key() -> None:
    spec = parse_spec(EXAMPLES[1])
    assert spec.model_fields_set == Spec.model_fields.keys()
    assert spec.session.model_fields_set == Session.model_fields.keys()
    assert spec.history.model_fields_set == History.model_fields.keys()
    assert spec.features["followed"].model_fields_set == Feature.model_fields.keys()
    keys = {key for source in spec.sources.values() for key in source.model_fields_set}
    assert keys == Source.model_fields.keys()


def default_of(key: str) -> str:
    found = re.search(rf"^\| `{re.escape(key)}` \| `([^`]*)`", TEXT, re.MULTILINE)
    assert found, key
    return found[1]


def test_the_defaults_are_right() -> None:
    spec = parse_spec(LEAST + "sampling: {tokens: 1}")
    assert spec.sampling is not None
    assert default_of("session.gap") == written(spec.session.gap)
    assert default_of("horizon") == written(spec.horizon)
    assert default_of("attribution") == written(spec.attribution)
    assert default_of("history.contents") == str(spec.history.contents)
    assert default_of("sampling.seed") == str(spec.sampling.seed)
    assert default_of("watermark.skew") == written(spec.watermark.skew)
    assert default_of("watermark.idle") == written(spec.watermark.idle)
    assert default_of("limits.record_bytes") == str(spec.limits.record_bytes)
    assert default_of("format") == spec.sources["views"].format


def test_every_key_of_a_source_is_described() -> None:
    assert set(OF_ERASE) <= Source.model_fields.keys()
    for key in Source.model_fields:
        assert f"\n| `{key}` | " in TEXT, key


def test_the_reasons_are_all_there_are() -> None:
    table = TEXT[TEXT.index("| reason | the record |") : TEXT.index("**`dictionary/`**")]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [*Reason, LATE]
