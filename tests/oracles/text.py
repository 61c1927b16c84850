"""Ids and canonical JSON: how a value becomes text, and text an id."""

import json
import math
import re
from typing import Any

import xxhash

HASHED = 2**62
_PLAIN = re.compile(r"[1-9][0-9]*")


def is_scalar(value: Any) -> bool:
    """Whether a value has a text: a string, a boolean or a finite number."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | bool | int)


def text_of(value: str | bool | float) -> str:
    """Ids: the text that stands for a value, as strings, numbers and booleans give it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        whole = math.isfinite(value) and value == math.floor(value)
        return str(int(value)) if whole else repr(value)
    return str(value)


def id_of(text: str | None) -> int:
    """Ids: null is 0, a plain integer below 2^62 itself, any other text its hash above that."""
    if text is None:
        return 0
    if _PLAIN.fullmatch(text) and len(text) <= len(str(HASHED)) and int(text) < HASHED:
        return int(text)
    return HASHED + xxhash.xxh3_64_intdigest(text.encode()) % HASHED


def canonical_json(value: Any) -> str:
    """S2: compact JSON with sorted keys, the fewest escapes, and numbers as in Ids."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ",".join(canonical_json(one) for one in value) + "]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode())
        return "{" + ",".join(f"{canonical_json(k)}:{canonical_json(value[k])}" for k in keys) + "}"
    return text_of(value)


def hash_of(value: Any) -> str:
    """S2, S11: the xxh3-128 of a value's canonical JSON, in hex."""
    return xxhash.xxh3_128_hexdigest(canonical_json(value).encode())
