"""Many JSON records as tables, where that is certain to read each exactly.

Arrow's parser is several times faster than one that reads record by record, and stricter about
types: a field must have one JSON type throughout. What it would take that is not JSON, or not one
record a text, is left out beforehand (`plain_texts`); a record that it stumbles over is left out
and the parts around it are read again. What is left out, the caller reads one by one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from transforms.core.arrays import Ints
from transforms.core.decode.json_schema import has_floats, schema_of, with_floats
from transforms.core.decode.long_numbers import Rounded
from transforms.core.decode.plain_texts import plain_texts
from transforms.core.decode.plan import Keys

_STUMBLED = re.compile(r"in row (\d+)$")
_CHUNK = 2048  # records parsed at a time: what is read again after a stumble
_SMALL = 16
_MOST_READ = 8  # times over; where more is odd than that, reading one by one is faster


@dataclass
class Tables:
    """Tables of some of the texts, with the places of their rows; and the places left out."""

    parts: list[tuple[pa.Table, Ints]] = field(default_factory=list)
    left: list[Ints] = field(default_factory=list)

    @property
    def left_out(self) -> Ints:
        """The places of the texts that are in no table."""
        return np.sort(np.concatenate([np.empty(0, np.int64), *self.left]))

    def by_schema(self) -> Iterator[tuple[pa.Table, Ints]]:
        """The parts put together as far as their types are the same."""
        groups: dict[pa.Schema, list[tuple[pa.Table, Ints]]] = {}
        for table, places in self.parts:
            groups.setdefault(table.schema, []).append((table, places))
        for group in groups.values():
            tables = [table for table, _ in group]
            yield pa.concat_tables(tables), np.concatenate([places for _, places in group])


def tables_of(
    texts: Sequence[bytes], fields: Sequence[Keys], decimals: Sequence[Keys] = ()
) -> Tables:
    """The fields of JSON texts as tables, as far as that is certain to be exact; of those of
    `decimals` no number is rounded."""
    plain = plain_texts(texts)
    out = Tables(left=[np.flatnonzero(~plain)])
    places = np.flatnonzero(plain)
    schema = schema_of([texts[place] for place in places.tolist()], fields)
    for start in range(0, len(places), _CHUNK):
        _read_chunk(texts, places[start : start + _CHUNK], schema, out)
    return _unrounded(out, texts, decimals) if decimals else out


def _unrounded(read: Tables, texts: Sequence[bytes], decimals: Sequence[Keys]) -> Tables:
    """The same without the records where a number of these fields may be rounded."""
    finder, out = Rounded(decimals), Tables(left=read.left)
    for table, places in read.parts:
        rounded = np.zeros(len(places), bool)
        if has_floats(table.schema, decimals):
            rounded = finder.where([texts[place] for place in places.tolist()])
        if rounded.any():
            out.left.append(places[rounded])
            out.parts.append((table.filter(pa.array(~rounded)), places[~rounded]))
        else:
            out.parts.append((table, places))
    return out


def _read_chunk(texts: Sequence[bytes], places: Ints, schema: pa.Schema, out: Tables) -> None:
    """Reads a chunk, and the parts around each record that it stumbles over."""
    waiting, read = [places], 0
    while waiting:
        part = waiting.pop()
        read += len(part)
        if len(part) < _SMALL or read > len(places) * _MOST_READ:
            out.left.append(part)
            continue
        table, odd = _read([texts[place] for place in part.tolist()], schema)
        if table is not None:
            out.parts.append((table, part))
        elif odd is None:
            half = len(part) // 2
            waiting += [part[:half], part[half:]]
        else:
            out.left.append(part[odd : odd + 1])
            waiting += [part[:odd], part[odd + 1 :]]


def _read(texts: Sequence[bytes], schema: pa.Schema) -> tuple[pa.Table | None, int | None]:
    """The table of these texts, or none and, where it is known, the row that is odd."""
    joined = pa.py_buffer(b"\n".join(texts))
    for types in (schema, with_floats(schema)):
        try:
            table = _parse(joined, types)
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            stumbled = _STUMBLED.search(str(error))
            if stumbled and int(stumbled[1]) < len(texts):
                return None, int(stumbled[1])
        else:
            return (table, None) if table.num_rows == len(texts) else (None, None)
    return None, None


def _parse(joined: pa.Buffer, schema: pa.Schema) -> pa.Table:
    return pj.read_json(
        pa.BufferReader(joined),
        read_options=pj.ReadOptions(use_threads=False, block_size=joined.size + 1),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
