"""The bytes of an input as a stream of blocks, decompressed on the way."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

import zstandard

from pipeline.files.inputs import Input

BLOCK_BYTES = 256 << 10
"""Big enough to make calls rare, small enough to stay in the processor's cache."""

_GZIP_PIECE = 32 << 10
# zstd turns 4 bytes into 128 KiB at best, and its object gives all at once: 2 KiB in, 64 MiB out.
_ZSTD_PIECE = 2 << 10
_GZIP_WINDOW = 31
_BOM = b"\xef\xbb\xbf"


class CutShortError(ValueError):
    """A compressed stream ends early or is corrupt; what was readable came before."""


def read_blocks(source: Input) -> Iterator[bytes]:
    """Blocks of at most 256 KiB, without a UTF-8 byte order mark; compression is told by suffix.

    Raises CutShortError after the last readable byte of a damaged stream.
    """
    with source.open() as file:
        yield from _without_mark(_decompressed(file, source.file or ""))


def _decompressed(file: BinaryIO, name: str) -> Iterator[bytes]:
    if name.endswith(".gz"):
        return _gunzip(file)
    if name.endswith(".zst"):
        return _unzstd(file)
    return iter(lambda: file.read(BLOCK_BYTES), b"")


def _without_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    first = b""
    for block in blocks:
        first += block
        if len(first) >= len(_BOM):
            break
    yield first.removeprefix(_BOM)
    yield from blocks


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    member = zlib.decompressobj(_GZIP_WINDOW)
    while piece := file.read(_GZIP_PIECE):
        while piece:
            if member.eof:
                # Zeros may follow a member, as gzip has it.
                piece = piece.lstrip(b"\0")
                if not piece:
                    break
                member = zlib.decompressobj(_GZIP_WINDOW)
            before = member.copy()
            try:
                block = member.decompress(piece, BLOCK_BYTES)
            except zlib.error as error:
                yield from _salvaged(before, piece)
                raise CutShortError(f"gzip: {error}, before byte {file.tell()}") from error
            yield block
            piece = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof and file.tell():
        raise CutShortError(f"gzip: the stream is cut short after byte {file.tell()}")


def _salvaged(member: "zlib._Decompress", piece: bytes) -> Iterator[bytes]:
    """What `piece` gives up to the byte that is wrong."""
    for at in range(len(piece)):
        try:
            block = member.decompress(piece[at : at + 1])
        except zlib.error:
            return
        yield block


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    frame = None
    while piece := file.read(_ZSTD_PIECE):
        while piece:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            try:
                out = frame.decompress(piece)
            except zstandard.ZstdError as error:
                detail = f"zstd: {error}, before byte {file.tell()}"
                raise CutShortError(detail) from error
            for at in range(0, len(out), BLOCK_BYTES):
                yield out[at : at + BLOCK_BYTES]
            piece = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise CutShortError(f"zstd: the stream is cut short after byte {file.tell()}")
