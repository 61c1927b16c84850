"""How much the column chunks of a Parquet file claim to hold, by the headers of their pages.

The footer gives sizes too, but the reader believes the pages. A header is a Thrift struct in the
compact protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md,
with the fields of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

_UNPACKED, _PACKED = 2, 3  # of PageHeader
_DATA, _DICTIONARY, _DATA_2 = 5, 7, 8
_VALUES = 1  # of each of these
_ENCODING = {_DATA: 2, _DATA_2: 4}
_PREFIXES = 7  # DELTA_BYTE_ARRAY: a text names how much of the one before it begins with
_WIDTH = 8  # of a value of any type but FIXED_LEN_BYTE_ARRAY, at most, without what is in pages
_LONGEST = 63  # bits of a number before its last byte
_OLD_RANGE = 100  # how far beyond a chunk of an old parquet-mr the reader may look

_BOOLS, _I32, _I64, _DOUBLE, _BINARY, _STRUCT = (1, 2), 5, 6, 7, 8, 12
_BYTE, _I16, _LISTS, _MAP = 3, 4, (9, 10), 11

Struct = dict[tuple[int, int], Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a column chunk claims: bytes when decoded, but for texts that stand in a dictionary
    (`in_dictionary`): there a few bytes may name a long one many times."""

    path: str
    size: int
    in_dictionary: bool


def claims(file: pq.ParquetFile, data: bytes, value_bytes: int) -> Iterator[Claim]:
    """The claims of all column chunks of a file whose bytes are `data`, each with `value_bytes`
    more for a value. Raises ValueError or IndexError for a header that is none."""
    metadata = file.metadata
    slack = _OLD_RANGE if "parquet-mr" in (metadata.created_by or "") else 0
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            width = max(file.schema.column(number).length, _WIDTH) + value_bytes
            yield _claim(chunk, _pages(data, chunk, slack), width)


def _claim(chunk: pq.ColumnChunkMetaData, pages: Iterator[Struct], width: int) -> Claim:
    size, in_dictionary, is_text = 0, False, chunk.physical_type == "BYTE_ARRAY"
    for page in pages:
        unpacked = page.get((_UNPACKED, _I32), 0)
        values = max(_of_kind(page, kind, _VALUES) for kind in (_DATA, _DICTIONARY, _DATA_2))
        if min(unpacked, values) < 0:
            raise ValueError(f"a page of {unpacked} bytes and {values} values")
        size += unpacked + values * width
        if _PREFIXES in (_of_kind(page, kind, _ENCODING[kind]) for kind in _ENCODING):
            size += values * unpacked
        in_dictionary |= is_text and (_DICTIONARY, _STRUCT) in page
    return Claim(chunk.path_in_schema, size, in_dictionary)


def _of_kind(page: Struct, kind: int, field: int) -> int:
    return int(page.get((kind, _STRUCT), {}).get((field, _I32), 0))


def _pages(data: bytes, chunk: pq.ColumnChunkMetaData, slack: int) -> Iterator[Struct]:
    """The headers of a chunk's pages, as far as the reader may come."""
    starts = [chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset]
    at = min(start for start in starts if start > 0)
    end = at + chunk.total_compressed_size
    while at < end + slack:
        thrift = _Thrift(data, at)
        try:
            page = thrift.struct()
        except IndexError:
            if at < end:
                raise
            return
        yield page
        packed = page.get((_PACKED, _I32), 0)
        if packed < 0:
            raise ValueError(f"a page of {packed} bytes")
        at = thrift.at + packed


@dataclass
class _Thrift:
    """Values of the compact protocol, one after the other from a place on."""

    data: bytes
    at: int

    def struct(self) -> Struct:
        """The fields of a struct, by their number and type; only numbers and structs are kept."""
        fields: Struct = {}
        number = 0
        while head := self._byte():
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            if kind not in _BOOLS:  # which have their value in the head
                fields[number, kind] = self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (_I16, _I32, _I64):
            return self._zigzag()
        if kind == _STRUCT:
            return self.struct()
        if kind in _LISTS:
            self._list()
        elif kind == _MAP:
            self._map()
        else:
            self._skip(kind)
        return None

    def _skip(self, kind: int) -> None:
        if kind == _BINARY:
            length = self._varint()  # which moves `at` itself
            self.at += length
        elif kind == _DOUBLE:
            self.at += 8
        elif kind in (*_BOOLS, _BYTE):
            self.at += 1
        else:
            raise ValueError(f"a field of type {kind}, which Thrift has not")

    def _list(self) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._varint()
        for _ in range(count):
            self._value(head & 15)
            self._check()

    def _map(self) -> None:
        count = self._varint()
        kinds = self._byte() if count else 0
        for _ in range(count):
            self._value(kinds >> 4)
            self._value(kinds & 15)
            self._check()

    def _check(self) -> None:
        if self.at > len(self.data):
            raise IndexError("a header beyond the end")

    def _byte(self) -> int:
        byte = self.data[self.at]
        self.at += 1
        return byte

    def _varint(self) -> int:
        number = shift = 0
        while (byte := self._byte()) & 128:
            number |= (byte & 127) << shift
            shift += 7
            if shift > _LONGEST:
                raise ValueError("a number without end")
        return number | byte << shift

    def _zigzag(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)
