"""How much an Avro container file holds when it is unpacked, before fastavro unpacks it.

Its blocks do not say, for most codecs: so they are unpacked here as far as they may go, and thrown
away, which takes a small part of the time that reading them does.
https://avro.apache.org/docs/1.12.0/specification/
"""

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import zstandard

SYNC_BYTES = 16
_XZ_MEMORY = 256 << 20
_LONGEST = 63  # bits of a number before its last byte


def unpacked(data: bytes, codec: str, most: int) -> Iterator[tuple[int, int]]:
    """Bytes and records of each of the blocks in `data`, up to one that is no block; of one with
    more than `most` bytes only that there are more. Raises KeyError for a codec that Avro has not,
    and what the codec does where a block is damaged."""
    at = 0
    while at < len(data):
        try:
            records, at = _long(data, at)
            size, at = _long(data, at)
        except IndexError:
            return
        if not 0 <= size <= len(data) - at:
            return
        yield _SIZES[codec](data[at : at + size], most), max(records, 0)
        at += size + SYNC_BYTES


def _long(data: bytes, at: int) -> tuple[int, int]:
    """A number at a place, and the place after it."""
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while (byte := data[at]) & 128 and shift < _LONGEST:
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
    return number | byte << shift, at + 1


def _deflated(data: bytes, most: int) -> int:
    return len(zlib.decompressobj(-15).decompress(data, most + 1))


def _streams(begin: Callable[[], Any]) -> Callable[[bytes, int], int]:
    """Of a codec whose streams may follow one another."""

    def size(data: bytes, most: int) -> int:
        total = 0
        while data and total <= most:
            stream = begin()
            total += len(stream.decompress(data, most + 1 - total))
            data = stream.unused_data
        return total

    return size


def _zstandard(data: bytes, most: int) -> int:
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as stream:
        return len(stream.read(most + 1))


_SIZES: dict[str, Callable[[bytes, int], int]] = {
    "null": lambda data, _: len(data),
    "deflate": _deflated,
    "bzip2": _streams(bz2.BZ2Decompressor),
    "xz": _streams(lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY)),
    "zstandard": _zstandard,
    "snappy": lambda data, _: _varint(data, 0)[0],
    "lz4": lambda data, _: int(struct.unpack_from("<I", data)[0]),
}
