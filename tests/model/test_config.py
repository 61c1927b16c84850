"""Settings of training: errors that say what is wrong, and what a checkpoint keeps of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.config import TrainConfig, load_config
from schemas.load import parse_document
from schemas.parts import Part
from schemas.problems import SpecError

FULL: list[dict[str, Any]] = [
    {},
    {"vocabulary": {"admit_after": 3, "capacity": 1000, "max_age": "90m"}},
    {"vocabulary": {"kind": "hashed", "buckets": 64}, "sampling": {"tokens_a_second": 9}},
    {"length": {"alpha": 1.8}, "model": {"experts": 4}, "tasks": ["ranking"]},
]


@pytest.mark.parametrize("written", FULL)
def test_what_is_kept_of_settings_can_be_read_again(written: dict[str, Any]) -> None:
    config = TrainConfig.model_validate(written)
    kept = config.model_dump(mode="json")
    assert TrainConfig.model_validate(kept).model_dump(mode="json") == kept


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("version: 1\nmodel: {width: 0}", "model.width=0: must be at least 1 (FILE, line 2)"),
        ("model:\n  widht: 8", "model.widht=8: unknown key; did you mean width? (FILE, line 2)"),
        (
            "sampling: {tokens: 9, tokens_a_second: 5}",
            "sampling.tokens=9: is steered by tokens_a_second: leave one of them out",
        ),
        ("model: {experts: 1}", "model.active_experts: must be at most experts, which is 1"),
        ("tasks: []", "tasks: must have at least one entry"),
        ("[1]", "is no settings file; write a mapping that begins with version: 1"),
    ],
)
def test_an_error_says_what_and_where(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as raised:
        load_config(path)
    assert error.replace("FILE", str(path)) in str(raised.value)


def test_without_a_file_the_defaults_hold() -> None:
    assert load_config(None) == TrainConfig()


def test_the_guide_has_every_setting_with_its_default() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "training.md").read_text()
    blocks = re.findall(r"```yaml\n(version: 1\n.*?)```", guide, re.DOTALL)
    (written,) = blocks
    config = parse_document(written, "training.md", TrainConfig, "settings file", "version: 1")
    assert config.model_dump() == TrainConfig(lanes=1).model_dump()
    names = {name for part in _parts(TrainConfig()) for name in type(part).model_fields}
    assert [name for name in names if not re.search(rf"\b{name}:", written)] == ["buckets"]


def _parts(part: Part) -> Iterator[Part]:
    yield part
    for value in vars(part).values():
        if isinstance(value, Part):
            yield from _parts(value)
