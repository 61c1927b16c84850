"""Which JSON texts may be read many at a time: one object on one line, and nothing exotic."""

import re
from collections.abc import Sequence

import numpy as np

from transforms.core.arrays import Bools
from transforms.core.decode.strict_json import DEEPEST, has_long_number, openings

_CONSTANT = re.compile(rb"[:\[,]\s*[-+]?(?:NaN|Inf)")


def plain_texts(texts: Sequence[bytes]) -> Bools:
    """[n] True where a text is one object on one line, of valid UTF-8, without NaN or Infinity,
    deep nests and overlong numbers. Most batches are so throughout, which is quick to see."""
    out = np.ones(len(texts), bool)
    joined = b"\n".join(texts)
    if not _is_valid(joined):
        out &= np.fromiter(map(_is_valid, texts), bool, len(texts))
    between = len(texts) - 1
    if joined.count(b"\n") != between or joined.count(b"}\n{") != between or not _braced(joined):
        out &= np.fromiter(map(_is_one_line, texts), bool, len(texts))
    if b"NaN" in joined or b"Inf" in joined:
        out &= np.fromiter((not _CONSTANT.search(text) for text in texts), bool, len(texts))
    for place, text in enumerate(texts):
        if len(text) > 2 * DEEPEST:
            out[place] &= openings(text) <= DEEPEST and not has_long_number(text)
    return out


def _is_valid(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _braced(text: bytes) -> bool:
    return text.startswith(b"{") and text.endswith(b"}")


def _is_one_line(text: bytes) -> bool:
    return _braced(text) and b"\n" not in text
