"""Secrets by reference: where one is may be shown, pickled and sent; what it is may not."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MOST_BYTES = 64 * 1024
"""More than any password, so that a wrong path does no harm."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is: an environment variable, a file, or a key's line in a file of KEY=VALUE.

    It is read when a client is made, on the machine that makes it, and each time anew.
    """

    kind: Literal["env", "file", "line"]
    where: str
    key: str = ""

    @classmethod
    def parse(cls, written: str) -> "Secret":
        """From "env:NAME" or "file:PATH"; ValueError shows nothing of what was written."""
        kind, colon, where = written.partition(":")
        if not colon or not where or kind not in ("env", "file"):
            raise ValueError("must say where the secret is: env:NAME or file:PATH")
        return cls("env", where) if kind == "env" else cls("file", os.path.abspath(where))

    @classmethod
    def line(cls, file: Path, key: str) -> "Secret":
        """The value of a key in a file of KEY=VALUE lines."""
        return cls("line", os.path.abspath(file), key)

    def __str__(self) -> str:
        return f"{self.key} in {self.where}" if self.kind == "line" else f"{self.kind}:{self.where}"

    def read(self) -> str:
        """The secret: one line of text, without the line break at its end.

        ValueError says what is missing and where, and nothing of the secret.
        """
        value = self._text().rstrip("\r\n")
        if not value:
            raise ValueError(f"{self} is empty")
        if len(value.splitlines()) > 1:
            raise ValueError(f"{self} has several lines; a secret is one")
        return value

    def _text(self) -> str:
        if self.kind == "env":
            if self.where not in os.environ:
                raise ValueError(f"{self}: there is no such environment variable here")
            return os.environ[self.where]
        text = text_of(self.where)
        if self.kind == "file":
            return text
        try:
            return pairs_of(text)[self.key]
        except KeyError:
            raise ValueError(f"{self.where} has no line {self.key}=…") from None


def text_of(file: str | Path) -> str:
    """The text of a small file; ValueError says why it cannot be read, and shows nothing of it."""
    if not os.path.isfile(file):
        raise ValueError(f"there is no file {file} here")
    try:
        with open(file, "rb") as opened:
            found = opened.read(MOST_BYTES + 1)
        text = found.decode("utf-8")
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:  # whose message shows a piece of it
        raise ValueError(f"{file} cannot be read: it is not UTF-8 text") from None
    if len(found) > MOST_BYTES:
        raise ValueError(f"{file} cannot be read: it has more than {MOST_BYTES:,} bytes")
    return text


def pairs_of(text: str) -> dict[str, str]:
    """The KEY=VALUE lines of a text, of which empty ones and those that begin with # are none.

    ValueError shows nothing of a wrong line, which may be half of a secret.
    """
    lines = (line.strip() for line in text.splitlines())
    return dict(pair_of(line) for line in lines if line and not line.startswith("#"))


def pair_of(line: str) -> tuple[str, str]:
    """KEY and VALUE, without the spaces around them; ValueError as of `pairs_of`."""
    key, equals, value = line.partition("=")
    if not equals or not key.strip():
        raise ValueError("a Kafka option must be KEY=VALUE, as in security_protocol=SASL_SSL")
    return key.strip(), value.strip()
