"""Every error of a spec: one line with place, value, what would be right, file and line."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from schemas.fingerprint import fingerprint
from schemas.load import json_schema, load_spec, parse_spec, spec_text
from schemas.problems import SpecError
from schemas.yaml_text import MOST_BYTES, read_yaml
from tests.machine import spec_of
from tests.schemas.shop import LEAST, SHOP, varied
from tests.strategies.specs import specs


def wrong_specs() -> list[tuple[str, str, list[str]]]:
    """Of wrong_specs.txt: what the shop's spec says, what to say instead, the errors it gives."""
    text = Path(__file__).with_name("wrong_specs.txt").read_text(encoding="utf-8")
    cases = []
    for block in text.strip().split("\n\n"):
        old, new, *errors = block.split("\n")
        cases.append((plain(old), plain(new), errors))
    return cases


def plain(line: str) -> str:
    return line[2:].replace("\\n", "\n").replace("\\\\", "\\")


@pytest.mark.parametrize(("old", "new", "errors"), wrong_specs())
def test_each_error_is_one_clear_line(old: str, new: str, errors: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(varied(old, new))
    assert [line.replace("(spec.yaml, ", "(") for line in caught.value.errors] == errors
    assert "\n" not in str(caught.value)


def test_63_actions_do_not_fit() -> None:
    names = ", ".join(f"A{n}" for n in range(63))
    with pytest.raises(SpecError, match="lists 63 actions; at most 62 fit an a token"):
        parse_spec(varied("actions: [VIEW, LIKE, BUY]", f"actions: [{names}]"))


def test_several_errors_stand_in_the_order_of_their_lines() -> None:
    text = varied("horizon: 10m", "horizon: 10", varied("user: user_id", "user: a..b"))
    with pytest.raises(SpecError) as caught:
        parse_spec(varied("name: shop", "name: a/b", text), "my/shop.yaml")
    places = [line.split("=")[0] for line in caught.value.errors]
    assert places == ["name", "sources.views.user", "horizon"]
    assert str(caught.value) == caught.value.errors[0] + " (and 2 more)"
    assert caught.value.errors[0].endswith("(my/shop.yaml, line 2)")


def test_a_long_value_is_cut() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(varied("horizon: 10m", f"horizon: {'9' * 3000}x"))
    assert len(str(caught.value)) < 250


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n"
    for old, new in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is empty; a spec begins with version: 1 (s.yaml, line 1)"),
        ("# nothing\n---\n", "is no spec; write a mapping that begins with version: 1"),
        ("[1]", "is no spec; write a mapping that begins with version: 1 (s.yaml, line 1)"),
        ("shop", "is no spec; write a mapping"),
        ("a: [1", "is not YAML: expected ',' or ']'"),
        ("a: b\n\tc: d", "(s.yaml, line 2)"),
        ("a: \x01", "is not YAML: unacceptable character #x0001"),
        ("a: *b", "is not YAML: found undefined alias 'b' (s.yaml, line 1)"),
        ("a: 1\n---\nb: 2", "is not YAML: but found another document (s.yaml, line 2)"),
        ("a: 1\nb: 2\na: 3", "a: this key stands twice, first on line 1 (s.yaml, line 3)"),
        ("1: 1\n'1': 2", "1: this key stands twice"),
        ("? [a]\n: 1", "a key must be a text, not a list or a mapping (s.yaml, line 1)"),
        ("a: !!python/name:os.system", "the tag !!python/name:os.system has no place in a spec"),
        ("a: !!int x", "(s.yaml, line 1)"),
        ("a: " + "[" * 100_000, "is nested too deeply for a spec (s.yaml)"),
        ("&a [*a]", "is nested too deeply for a spec (s.yaml)"),
        (BOMB, "holds more than 20000 values, aliases written out"),
        ("#" * (MOST_BYTES + 1), "is larger than 262144 bytes, too large for a spec (s.yaml)"),
    ],
)
def test_what_is_no_spec_at_all(text: str, error: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "s.yaml")
    assert error in str(caught.value)


def test_a_file_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP, encoding="utf-8-sig")
    assert load_spec(path) == load_spec(str(path)) == parse_spec(SHOP)
    path.write_text(varied("name: shop", "name: a/b"))
    with pytest.raises(SpecError, match=r"shop\.yaml, line 2"):
        load_spec(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"cannot read the spec: No such file or directory .*none\.yaml"
    ):
        load_spec(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match="cannot read the spec: Is a directory"):
        load_spec(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"version: 1\nname: \xff\xfe\n")
    with pytest.raises(SpecError, match=r"is not UTF-8 text \(.*binary.yaml, line 2\)"):
        load_spec(binary)
    binary.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(SpecError, match="too large"):
        load_spec(binary)


KEYS = st.sampled_from(SHOP.replace("[", " ").replace("{", " ").replace(",", " ").split())
PIECES = st.sampled_from(
    ["", "null", "{}", "[]", "[a, 1]", "{a: b}", "-1", ".nan", "1" * 400, "*x", "&x y", "'", "\0"]
)


@given(KEYS, PIECES)
def test_no_text_gives_anything_but_a_spec_or_a_spec_error(old: str, new: str) -> None:
    errors: tuple[str, ...] = ()
    try:
        parse_spec(SHOP.replace(old, new))
    except SpecError as error:
        errors = error.errors
    assert all(line.isprintable() for line in errors)


def schema_errors(text: str) -> list[str]:
    value = YAML(typ="safe", pure=True).load(text)
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return [
        error.message for error in jsonschema.Draft202012Validator(json_schema()).iter_errors(value)
    ]


@pytest.mark.parametrize("text", [SHOP, LEAST, varied("in: [LOGOUT]", "in: [1, true]")])
def test_json_schema_accepts_what_is_right(text: str) -> None:
    assert schema_errors(text) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    user: user_id\n", ""),
        ("horizon: 10m", "horizn: 10m"),
        ("version: 1", "version: 2"),
        ("gap: 30m", "gap: 30"),
        ("unit: ms", "unit: ns"),
        ("{field: kind}", "{always: VIEW}"),
        ("followed: set", "followed: list"),
        ("{add: followed_id,", "{snapshot: x,"),
    ],
)
def test_json_schema_refuses_what_is_wrong(old: str, new: str) -> None:
    assert len(schema_errors(varied(old, new))) == 1


@given(specs())
def test_a_spec_written_as_text_reads_as_the_same(written: dict[str, Any]) -> None:
    spec = spec_of(written)
    again = parse_spec(spec_text(spec))
    assert again == spec
    assert fingerprint(again) == fingerprint(spec)


@pytest.mark.parametrize("written", ["1_0", "0b11", "-0x1", "0.1_1", "1_0.5", "1_", "+0b1", "0o8"])
def test_numbers_of_yaml_1_1_are_texts(written: str) -> None:
    assert read_yaml(f"a: {written}", "s.yaml").value == {"a": written}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0o17", 15), ("0x1F", 31), ("017", 17), ("-1", -1), ("+5", 5), ("1e3", 1000.0),
        (".5", 0.5), ("1.", 1.0), ("-1.5E-1", -0.15), ("-.inf", float("-inf")), ("~", None),
    ],
)  # fmt: skip
def test_numbers_of_yaml_1_2_are_numbers(written: str, value: Any) -> None:
    found = read_yaml(f"a: {written}", "s.yaml").value["a"]
    assert (type(found), found) == (type(value), value)


def test_a_number_that_is_too_long() -> None:
    with pytest.raises(SpecError, match=r"^9{40}…: a number has at most 4,300 digits \(s.yaml, li"):
        read_yaml("a: " + "9" * 5000, "s.yaml")


def test_surrogates_of_escaped_json_are_one_character() -> None:
    text = json.dumps({"a": ["\U0001f600", "é"], "\U0001f600": 1})
    assert "\\ud83d" in text
    assert read_yaml(text, "s.yaml").value == {"a": ["\U0001f600", "é"], "\U0001f600": 1}


def test_a_name_fits_a_file_system() -> None:
    assert parse_spec(varied("name: shop", "name: " + "é" * 100)).name == "é" * 100
    with pytest.raises(SpecError, match="has 201 bytes; a name has at most 200"):
        parse_spec(varied("name: shop", "name: x" + "é" * 100))
