"""One JSON record, read strictly: what is not JSON by its grammar is rejected."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from transforms.core.decode.reject import Reason, Rejected

DEEPEST = 100
"""Levels of nesting in a record; deeper ones are rejected, whichever parser would bear them."""


def record_of(text: bytes) -> dict[str, Any]:
    """The object that a JSON text holds; of a doubled key the last counts.

    Raises Rejected (malformed, not_a_record) for anything else: NaN and Infinity, lone surrogates,
    invalid UTF-8, numbers too long to be read, nesting beyond DEEPEST.
    """
    try:
        value = json.loads(text.decode(), parse_constant=_no_constant)
        if b"\\u" in text:
            _encodable(value)
    except UnicodeDecodeError as error:
        raise Rejected(Reason.MALFORMED, f"byte {error.start} is not UTF-8") from None
    except UnicodeEncodeError:
        raise Rejected(Reason.MALFORMED, "holds a lone surrogate") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise Rejected(Reason.MALFORMED, f"not JSON: {error}") from None
    if openings(text) > DEEPEST and any(depth > DEEPEST for depth in _depths(value)):
        raise _too_deep()
    if not isinstance(value, dict):
        raise Rejected(Reason.NOT_A_RECORD, f"JSON of a {type(value).__name__}, not of an object")
    return value


def openings(text: bytes) -> int:
    """An upper bound of the nesting of a JSON text."""
    return text.count(b"[") + text.count(b"{")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _encodable(value: Any) -> None:
    json.dumps(value, ensure_ascii=False).encode()


def _depths(value: Any) -> Iterator[int]:
    waiting = [(value, 1)]
    while waiting:
        inner, depth = waiting.pop()
        if isinstance(inner, dict | list):
            yield depth
            children = inner.values() if isinstance(inner, dict) else inner
            waiting += [(child, depth + 1) for child in children]


def _too_deep() -> Rejected:
    return Rejected(Reason.MALFORMED, f"nested deeper than {DEEPEST} levels")
