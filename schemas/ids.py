"""Ids: how any value of a record becomes a 64-bit id (docs/semantics.md, Ids).

A value is taken by its text first, so that the number 7 and the string "7" are one id.
"""

import math
import re
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

import xxhash

HASHED = 1 << 62
"""The first id of a hashed text; smaller positive ids are the integers themselves."""

_PLAIN = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


def text_of(scalar: str | int | float) -> str:
    """The text of a string, number or boolean. Raises ValueError for NaN and the infinities."""
    if isinstance(scalar, str):
        return scalar
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    if isinstance(scalar, int):
        return str(scalar)
    if not math.isfinite(scalar):
        raise ValueError(f"{scalar!s} is not a number from -1.8e308 to 1.8e308")
    return str(int(scalar)) if scalar.is_integer() else repr(scalar)


def id_of(text: str | None) -> int:
    """The id of a text: itself where it is a plain integer from 1 to 2^62 - 1, else its hash."""
    if text is None:
        return 0
    if "1" <= text[:1] <= "9" and _PLAIN.fullmatch(text) and int(text) < HASHED:
        return int(text)
    return HASHED + xxhash.xxh3_64_intdigest(text.encode()) % HASHED


def canonical_json(value: Any) -> str:
    """Compact JSON with sorted keys, numbers as in `text_of`, escapes only where JSON needs them.

    Raises ValueError for numbers that JSON does not have.
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, Mapping):
        pairs = sorted(value.items())
        return "{" + ",".join(f"{encode_basestring(k)}:{canonical_json(v)}" for k, v in pairs) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    return text_of(value)


def content_id(content: str) -> str:
    """The event id of a record that has none: the xxh3-128 hex of its canonical content (S2)."""
    return xxhash.xxh3_128_hexdigest(content.encode())


def bucket_of(user: str, buckets: int) -> int:
    """The bucket of a user among `buckets`, the same for ever: a shard or a topic's partition."""
    return xxhash.xxh3_64_intdigest(user.encode()) % buckets
