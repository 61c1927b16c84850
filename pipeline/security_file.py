"""Kafka's security options from the command line: KEY=VALUE, or a file of such lines.

A secret stands on no command line. One that stands in the file goes on as a reference to its line
there, so that what is made of the options can be shown, pickled and sent.
"""

from collections.abc import Iterable
from pathlib import Path

from kafka_client.secrets import Secret, pair_of, pairs_of, text_of
from kafka_client.security import SECRETS
from schemas.failures import UsageError


def security_options(given: Iterable[str], file: Path | None) -> dict[str, str | Secret]:
    """The options by name; those given beside a file win. Raises UsageError."""
    in_file = {} if file is None else _options_in(file)
    try:
        beside = dict(map(pair_of, given))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return in_file | {key: _beside(key, value) for key, value in beside.items()}


def _options_in(file: Path) -> dict[str, str | Secret]:
    try:
        pairs = pairs_of(text_of(file))
    except ValueError as error:
        raise UsageError(f"--kafka-file={file}: {error}") from None
    return {key: _in_file(file, key, value) for key, value in pairs.items()}


def _in_file(file: Path, key: str, value: str) -> str | Secret:
    if key not in SECRETS or not value:
        return value
    try:
        return Secret.parse(value)
    except ValueError:  # then it is the secret itself
        return Secret.line(file, key)


def _beside(key: str, value: str) -> str | Secret:
    if key not in SECRETS:
        return value
    try:
        return Secret.parse(value)
    except ValueError:
        raise UsageError(
            f"--kafka {key}=…: a secret must not stand on a command line, where others see it: "
            f"say where it is, as in {key}=env:NAME or {key}=file:PATH, or use --kafka-file"
        ) from None
