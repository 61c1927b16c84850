"""The documents say what is there: links lead somewhere, files exist, lists are whole."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from kafka_client.security import OPTIONS
from pipeline.cli import app
from tests.documents import DOCS, ROOT, anchors, links, quoted, text_of
from transforms.core.decode.reject import LATE, Reason

ARCHITECTURE = ROOT / "docs" / "ARCHITECTURE.md"
ENGINEERS = ROOT / "docs" / "guides" / "data-engineers.md"
FOLDERS = ("schemas/", "transforms/", "pipeline/", "tests/", "examples/", "docs/", "benchmarks/")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(text_of(path)):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(text_of(target)), link


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_files_that_are_named_exist(path: Path) -> None:
    named = [name for name in quoted(text_of(path)) if name.startswith(FOLDERS) and "." in name]
    missing = [name for name in named if not (ROOT / name).exists()]
    assert missing == []


def test_the_code_map_names_every_module_and_no_other() -> None:
    text = text_of(ARCHITECTURE)
    packages = ["analysis", "files", "kafka", "sinks", "broker", "java", "flink", "simulate"]
    packages += ["train", "score", "demo", "report"]
    rooms = ("schemas", "transforms", "kafka_client", "kernels", "model", "pipeline", "chaos")
    named = set(re.findall(rf"`((?:{'|'.join(rooms)})/[\w/]+\.py)`", text))
    for package in packages:
        (row,) = re.findall(rf"^\| `pipeline/{package}/` \|(.*)$", text, re.MULTILINE)
        named |= {f"pipeline/{package}/{file}" for file in re.findall(r"`(\w+\.py)`", row)}
    there = {
        name_of(file)
        for room in rooms
        for file in (ROOT / room).rglob("*.py")
        if file.name != "__init__.py"
    }
    assert named == there


def test_every_rule_has_a_place() -> None:
    rules = re.findall(r"^\| S(\d+) ", text_of(ARCHITECTURE), re.MULTILINE)
    assert [int(rule) for rule in rules] == list(range(1, 16))


def test_the_guide_has_every_option_and_reason() -> None:
    text = text_of(ENGINEERS)
    names = set(quoted(text))
    run = get_command(app).commands["run"]  # type: ignore[attr-defined]
    options = {option.opts[0] for option in run.params if option.param_type_name == "option"}
    assert options - {"--help"} <= names
    assert set(OPTIONS) <= names
    reasons = re.findall(r"^\| `(\w+)` \|", text.split("## Dead letters")[1], re.MULTILINE)
    known = {*map(str, Reason), LATE}
    assert known == {name for name in reasons if not name.startswith("phia_")}
