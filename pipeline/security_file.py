"""Kafka's security options from the command line: KEY=VALUE, or a file of such lines."""

from collections.abc import Iterable
from pathlib import Path

from schemas.failures import UsageError


def security_options(given: Iterable[str], file: Path | None) -> dict[str, str]:
    """The options by name; those given beside a file win. Raises UsageError."""
    lines = [] if file is None else _lines(file)
    return dict(_pair(line) for line in [*lines, *given])


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--kafka-file={file}: cannot be read: {error}") from None
    lines = map(str.strip, text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _pair(line: str) -> tuple[str, str]:
    key, equals, value = line.partition("=")
    if not equals or not key.strip():
        # The line may be half of a secret, so it is not shown.
        raise UsageError("a Kafka option must be KEY=VALUE, as in security_protocol=SASL_SSL")
    return key.strip(), value.strip()
