"""One JSON record, read strictly: what is not JSON by its grammar is rejected."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any, NoReturn

from transforms.core.decode.long_numbers import float_of
from transforms.core.decode.reject import Reason, Rejected

DEEPEST = 250
"""Levels of nesting in a record; deeper ones are rejected, whichever parser would bear them."""


_MOST_DIGITS = 4300  # Python's own limit, against texts that take minutes to read
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (_MOST_DIGITS + 1))


def record_of(text: bytes) -> dict[str, Any]:
    """The object that a JSON text holds; of a doubled key the last counts. A number that no float
    is keeps its text beside the nearest one (`float_of`).

    Raises Rejected (malformed, not_a_record) for anything else: NaN and Infinity, lone surrogates,
    invalid UTF-8, numbers too long to be read, nesting beyond DEEPEST.
    """
    try:
        checked = _encodable if b"\\u" in text else None
        value = json.loads(
            text.decode(),
            parse_float=float_of,
            parse_constant=_no_constant,
            object_pairs_hook=checked,
        )
    except UnicodeDecodeError as error:
        raise Rejected(Reason.MALFORMED, f"byte {error.start} is not UTF-8") from None
    except UnicodeEncodeError:
        raise Rejected(Reason.MALFORMED, "holds a lone surrogate") from None
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        marked = text.startswith(BOM_UTF8)
        wrong = "begins with a byte order mark" if marked else str(error)
        raise Rejected(Reason.MALFORMED, f"not JSON: {wrong}") from None
    except ValueError:  # of an integer
        most = f"holds a number of more than {_MOST_DIGITS:,} digits"
        raise Rejected(Reason.MALFORMED, most) from None
    if openings(text) > DEEPEST and any(depth > DEEPEST for depth in _depths(value)):
        raise _too_deep()
    if not isinstance(value, dict):
        raise Rejected(Reason.NOT_A_RECORD, f"JSON of {_called(value)}, not of an object")
    return value


def openings(text: bytes) -> int:
    """An upper bound of the nesting of a JSON text."""
    return text.count(b"[") + text.count(b"{")


def has_long_number(text: bytes) -> bool:
    """Whether a JSON text may hold a number of more digits than Python reads as an integer."""
    return len(text) > _MOST_DIGITS and _LONG_NUMBER.search(text) is not None


def _no_constant(name: str) -> NoReturn:
    raise Rejected(Reason.MALFORMED, f"not JSON: {name} is not a JSON number")


def _called(value: str | float | list[Any] | None) -> str:
    """What JSON calls a value that is no object."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "a number"


def _encodable(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, all of whose texts are UTF-8 ones, also those that a doubled key overwrites."""
    for key, value in pairs:
        key.encode()
        _encode(value)
    return dict(pairs)


def _encode(value: Any) -> None:
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, list):
        for inner in value:
            _encode(inner)


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
