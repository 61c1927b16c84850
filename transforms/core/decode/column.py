"""One field of many records as a column: its texts, its JSON, and where it needs a closer look.

A column of strings, integers, booleans or floats, or of lists of these, is read as a whole. Rows
that this can't do exactly are *doubtful*; they are read one by one, by `record.observe`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from schemas.ids import HASHED, id_of
from transforms.core.arrays import Bools, Ints, ints, valid

_ESCAPED = r'["\\\x00-\x1f]'
_EXACT = float(1 << 53)
_PLAIN = (1e-3, 1e10)  # of these floats neither repr nor Arrow writes an exponent
_DIGITS = r"^[1-9][0-9]{0,17}$"


@dataclass(frozen=True)
class Column:
    """Scalars [n]: strings, int64, booleans or float64; null where the record has none."""

    values: pa.Array
    unreadable: Bools | None = None

    @property
    def present(self) -> Bools:
        """[n] True where there is a value, readable or not."""
        there = valid(self.values)
        return there if self.unreadable is None else there | self.unreadable

    @cached_property
    def texts(self) -> pa.Array:
        """[n] the text of each value, as `schemas.ids.text_of` gives it; doubtful ones may err."""
        if pt.is_floating(self.values.type):
            number = np.asarray(self.values.fill_null(0.0))
            whole = (np.floor(number) == number) & (np.abs(number) < _EXACT)
            digits = pc.cast(pa.array(np.where(whole, number, 0).astype(np.int64)), pa.string())
            texts = pc.if_else(pa.array(whole), digits, pc.cast(self.values, pa.string()))
            return pc.if_else(self.values.is_valid(), texts, None)
        return self.values if pt.is_string(self.values.type) else self.values.cast(pa.string())

    @cached_property
    def json(self) -> pa.Array:
        """[n] the JSON of each value."""
        if pt.is_string(self.values.type):
            return pc.binary_join_element_wise('"', self.values, '"', "")
        return self.texts

    @cached_property
    def doubtful(self) -> Bools:
        """[n] True where text and JSON are not certain to be exact."""
        out = np.zeros(len(self.values), bool) if self.unreadable is None else self.unreadable
        if pt.is_string(self.values.type) and _may_need_escapes(self.values):
            out = out | _true(pc.match_substring_regex(self.values, _ESCAPED))
        if pt.is_floating(self.values.type):
            out = out | (self.present & ~_plain_floats(np.asarray(self.values.fill_null(0.0))))
        return out

    def ids(self) -> tuple[Ints, dict[int, str]]:
        """[n] the id of each value (0 for null), and the texts of those that are hashes."""
        if pt.is_int64(self.values.type):
            number = ints(self.values)
            odd = self.present & ((number < 1) | (number >= HASHED))
            if not odd.any():
                return number, {}
        return _ids_of_texts(self.texts)


def _ids_of_texts(texts: pa.Array) -> tuple[Ints, dict[int, str]]:
    coded = texts.dictionary_encode()
    distinct = coded.dictionary
    plain = _true(pc.match_substring_regex(distinct, _DIGITS)) if len(distinct) else valid(distinct)
    ids = np.zeros(len(distinct) + 1, np.int64)
    ids[:-1][plain] = ints(distinct.filter(pa.array(plain)).cast(pa.int64()))
    names = {}
    for place in np.flatnonzero(~plain).tolist():
        text = distinct[place].as_py()
        ids[place] = number = id_of(text)
        if number >= HASHED:
            names[number] = text
    return ids[ints(coded.indices, null=-1)], names


def scalars(array: pa.Array) -> Column:
    """A column of scalars; what is of another type is unreadable where it is not null."""
    kind = array.type
    if pt.is_dictionary(kind):
        return scalars(array.cast(kind.value_type))
    if pt.is_large_string(kind) or pt.is_string_view(kind):
        return Column(array.cast(pa.string()))
    if pt.is_string(kind) or pt.is_boolean(kind) or pt.is_int64(kind):
        return Column(array)
    if pt.is_integer(kind) and not pt.is_uint64(kind):
        return Column(array.cast(pa.int64()))
    if pt.is_float64(kind) or pt.is_float32(kind):
        return Column(array.cast(pa.float64()))
    return Column(pa.nulls(len(array), pa.string()), valid(array))


def is_list(array: pa.Array) -> bool:
    """Whether a column is one of lists."""
    return bool(pt.is_list(array.type) or pt.is_large_list(array.type))


def plain_list(array: pa.Array) -> pa.Array:
    """A list column that begins at its first row, without what null rows hide."""
    return array if pt.is_list(array.type) else array.cast(pa.list_(array.type.value_type))


def _may_need_escapes(strings: pa.Array) -> bool:
    """Whether any byte of the strings is one that JSON escapes: a look at the whole buffer."""
    data = strings.buffers()[2]
    if data is None:
        return False
    bounds = np.frombuffer(strings.buffers()[1], np.int32)
    used = slice(bounds[strings.offset], bounds[strings.offset + len(strings)])
    octets = np.frombuffer(data, np.uint8)[used]
    escaped: Bools = (octets < 0x20) | (octets == 0x22) | (octets == 0x5C)
    return bool(escaped.any())


def _plain_floats(number: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Bools:
    size = np.abs(number)
    whole = (np.floor(number) == number) & (size < _EXACT)
    plain: Bools = whole | ((size >= _PLAIN[0]) & (size < _PLAIN[1]))
    return plain


def _true(mask: pa.Array) -> Bools:
    return np.asarray(pc.fill_null(mask, False), dtype=bool)
