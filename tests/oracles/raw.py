"""Raw bytes to a record: strict JSON."""

import json
from typing import Any


class RejectionError(Exception):
    """A record is rejected; its one argument is the reason."""


class Written(float):
    """A number with a fraction or an exponent, and its decimal text."""

    text: str


def _written(text: str) -> Written:
    number = Written(text)
    number.text = text
    return number


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _check_text(value: Any) -> None:
    """Records: a lone surrogate is not JSON; nor can it be encoded."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, list):
        for one in value:
            _check_text(one)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Records: of a doubled key the last counts."""
    for key, value in pairs:
        _check_text(key)
        _check_text(value)
    return dict(pairs)


def is_blank(raw: bytes | dict[str, Any]) -> bool:
    """Records: blank lines are skipped."""
    return isinstance(raw, bytes) and not raw.strip()


def parse(raw: bytes | dict[str, Any], max_bytes: int) -> dict[str, Any]:
    """The record that the bytes hold; or a RejectionError: too_large, malformed, not_a_record."""
    if isinstance(raw, dict):
        return raw
    if len(raw) > max_bytes:
        raise RejectionError("too_large")
    try:
        value = json.loads(
            raw.decode(),
            parse_float=_written,
            parse_constant=_refuse,
            object_pairs_hook=_object,
        )
        _check_text(value)
    except (ValueError, RecursionError):  # both decoding errors are ValueErrors
        raise RejectionError("malformed") from None
    if not isinstance(value, dict):
        raise RejectionError("not_a_record")
    return value
