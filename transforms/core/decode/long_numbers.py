"""Numbers of more digits than a float holds: their text counts in times, bins and flags (S1)."""

import json
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

import numpy as np

from transforms.core.arrays import Bools
from transforms.core.decode.plan import Keys

_HELD = 16
"""A number of no more characters, and without an exponent, is the decimal that its float writes."""
_LONG = rb"-?(?:[0-9.]{%d}|[0-9.]*[eE])" % (_HELD + 1)
_COLON = rb'"\s*:\s*'
_ESCAPED_KEY = rb'\\.[^"\\]*'  # from its last escape on


class WrittenFloat(float):
    """A float that keeps the text of the number that it stands for, as that is another number."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "WrittenFloat":
        """The float nearest to a number of JSON, infinite where none is near."""
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __str__(self) -> str:
        return self.text


def float_of(text: str) -> float:
    """The float of a number of JSON with a fraction or an exponent, with its text where they
    differ."""
    value = float(text)
    if len(text) <= _HELD and "e" not in text and "E" not in text:
        return value
    return value if repr(value) == text or _same(value, text) else WrittenFloat(text)


def _same(value: float, text: str) -> bool:
    try:
        return Decimal(repr(value)) == Decimal(text)
    except ArithmeticError:  # an exponent beyond those of decimals
        return False


def decimal_text(value: str | int | float) -> str:
    """The decimal text of a number, or a text as it is."""
    if isinstance(value, str):
        return value
    return value.text if isinstance(value, WrittenFloat) else repr(value)


def long_numbers(keys: Iterable[Keys]) -> re.Pattern[bytes]:
    """What finds, in JSON texts, the fields where a number may stand that no float holds."""
    names = sorted({json.dumps(path[-1], ensure_ascii=False).encode()[1:-1] for path in keys})
    plain = b'"(?:%s)' % b"|".join(map(re.escape, names))
    return re.compile(b"(?:%s|%s)%s%s" % (plain, _ESCAPED_KEY, _COLON, _LONG))


def have_any(pattern: re.Pattern[bytes], texts: Sequence[bytes]) -> Bools:
    """[n] True where a text has what the pattern finds. Most batches have it nowhere."""
    if not pattern.search(b"\n".join(texts)):
        return np.zeros(len(texts), bool)
    return np.fromiter((pattern.search(text) is not None for text in texts), bool, len(texts))
