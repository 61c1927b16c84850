"""Secrets by reference: what they read, and that nothing of them shows where they can't be read."""

import pickle
import re
from pathlib import Path

import pytest

from kafka_client import secrets
from kafka_client.secrets import Secret, pairs_of, text_of


@pytest.fixture
def word(tmp_path: Path) -> Path:
    return tmp_path / "word"


@pytest.mark.parametrize("written", ["hunter2", "hunter2:x", "env:", "file:", "", "ENV:X", ":x"])
def test_what_is_no_reference_is_refused_and_not_shown(written: str) -> None:
    with pytest.raises(ValueError, match="env:NAME or file:PATH") as raised:
        Secret.parse(written)
    assert "hunter2" not in str(raised.value)


def test_a_reference_is_all_that_is_held(word: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word.write_text("hunter2")
    monkeypatch.setenv("PHIA_TEST_WORD", "hunter2")
    for secret in (Secret.parse("env:PHIA_TEST_WORD"), Secret.parse(f"file:{word}")):
        assert secret.read() == "hunter2"
        assert b"hunter2" not in pickle.dumps(secret)
        assert "hunter2" not in f"{secret} {secret!r}"


def test_a_file_is_found_from_any_folder(word: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word.write_text("hunter2")
    monkeypatch.chdir(word.parent)
    secrets_here = Secret.parse("file:word"), Secret.line(Path("pairs"), "key")
    monkeypatch.chdir("/")
    assert secrets_here[0].read() == "hunter2"
    assert secrets_here[1].where == str(word.parent / "pairs")


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_the_line_break_at_the_end_is_no_part(word: Path, end: str) -> None:
    word.write_bytes(b" a = b# " + end.encode())
    assert Secret.parse(f"file:{word}").read() == " a = b# "


def test_it_is_read_anew_each_time(word: Path) -> None:
    secret = Secret.parse(f"file:{word}")
    for value in ("one", "two"):
        word.write_text(value)
        assert secret.read() == value


def test_a_line_of_a_file_of_pairs(word: Path) -> None:
    word.write_text("# key=no\n\n key = a=b \nother=c\n")
    assert Secret.line(word, "key").read() == "a=b"
    assert str(Secret.line(word, "key")) == f"key in {word}"
    with pytest.raises(ValueError, match=f"{word} has no line missing=…"):
        Secret.line(word, "missing").read()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", " is empty"),
        (b"\n", " is empty"),
        (b"hunter2\nhunter3", " has several lines; a secret is one"),
        (b"\xffhunter2", " cannot be read: it is not UTF-8 text"),
        (b"hunter2" * 10_000, " cannot be read: it has more than 65,536 bytes"),
    ],
)
def test_what_cannot_be_a_secret_is_said_and_not_shown(
    word: Path, content: bytes, part: str
) -> None:
    word.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{word}{part}")) as raised:
        Secret.parse(f"file:{word}").read()
    assert "hunter" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("written", ["env:PHIA_NO_SUCH", "file:/no/such", "file:/tmp"])
def test_what_is_missing_is_named(written: str) -> None:
    with pytest.raises(ValueError, match=re.escape(written.partition(":")[2]) + ".* here"):
        Secret.parse(written).read()


def test_a_file_that_may_not_be_read_is_named(word: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word.touch()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(secrets, "open", refuse, raising=False)
    with pytest.raises(ValueError, match=f"{word} cannot be read: Permission denied"):
        text_of(word)


@pytest.mark.parametrize("line", ["hunter2", "=hunter2"])
def test_a_wrong_line_is_not_shown(line: str) -> None:
    with pytest.raises(ValueError, match="must be KEY=VALUE") as raised:
        pairs_of(f"a=b\n{line}")
    assert "hunter2" not in str(raised.value)
