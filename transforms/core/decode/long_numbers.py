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
_NUMBER = rb"\s*:\s*(-?(?:[0-9.]{%d}|[0-9.]*[eE])[0-9.eE+-]*)" % (_HELD + 1)
_ESCAPED = re.compile(rb'\\.[^"\\]*"' + _NUMBER)
"""A long number after a key that has an escape, from its last one on: any key may be so written."""


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


class Rounded:
    """Finds JSON texts where one of the fields has, or may have, a number that no float holds."""

    def __init__(self, keys: Iterable[Keys]) -> None:
        """Fields by their keys; the last of them is looked for, wherever it stands."""
        names = {json.dumps(path[-1], ensure_ascii=False).encode() for path in keys}
        # A pattern each, for one that begins with a plain text is found several times faster.
        self._plain = [re.compile(re.escape(name) + _NUMBER) for name in sorted(names)]

    def where(self, texts: Sequence[bytes]) -> Bools:
        """[n] True where there is such a number. Most batches have none, which is quick to see."""
        if not self._has_any(b"\n".join(texts)):
            return np.zeros(len(texts), bool)
        return np.fromiter(map(self._has_any, texts), bool, len(texts))

    def _has_any(self, text: bytes) -> bool:
        patterns = [*self._plain, _ESCAPED] if b"\\" in text else self._plain
        return any(_is_rounded(found) for each in patterns for found in each.findall(text))


def _is_rounded(number: bytes) -> bool:
    try:
        return isinstance(float_of(number.decode()), WrittenFloat)
    except ValueError:  # it stands in a text, and is none
        return True
