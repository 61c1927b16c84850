"""Blocks of bytes to numbered lines, with a bound on what a line may hold in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.files.blocks import CutShortError


@dataclass(frozen=True, slots=True)
class Run:
    """Lines that follow one another, the first of number `first`, without their line feeds."""

    first: int
    texts: list[bytes]
    size: int


@dataclass(frozen=True, slots=True)
class Huge:
    """A line over the limit: its first bytes, its size without the line end, its `"` count, and
    whether it is blank."""

    line: int
    head: bytes
    size: int
    quotes: int
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """The stream is damaged in or before this line, of which `head` was still readable."""

    line: int
    head: bytes
    problem: str


def split_lines(
    blocks: Iterable[bytes], limit: int, keep_returns: bool = False
) -> Iterator[Run | Huge | Cut]:
    r"""Lines split at b"\n"; one b"\r" before it is taken off, unless `keep_returns`.

    Whatever the sizes of the blocks, the lines are the same. A line of more than `limit` bytes is
    Huge; no more than `limit` and one block is held. A CutShortError of `blocks` ends in a Cut.
    """
    splitter = _Splitter(limit, keep_returns)
    try:
        for block in blocks:
            yield from splitter.feed(block)
    except CutShortError as error:
        yield splitter.cut(str(error))
        return
    yield from splitter.finish()


class _Splitter:
    def __init__(self, limit: int, keep_returns: bool) -> None:
        self._limit = limit
        self._keep_returns = keep_returns
        self._number = 1
        self._forget()

    def _forget(self) -> None:
        """No unfinished line: its first bytes, what is counted and seen of all, its last byte."""
        self._pieces: list[bytes] = []
        self._room = self._limit + 1
        self._size = 0
        self._quotes = 0
        self._blank = True
        self._last = b""

    def feed(self, block: bytes) -> Iterator[Run | Huge]:
        end = block.rfind(b"\n") + 1
        if end and self._size + end <= self._limit:
            # No line can be too large here, so that none is looked at.
            self._pieces.append(block[:end])
            yield self._run(b"".join(self._pieces))
            self._forget()
        elif end:
            yield from self._carefully(block[:end])
        self._hold(block[end:])

    def _carefully(self, block: bytes) -> Iterator[Run | Huge]:
        first = block.index(b"\n")
        self._hold(block[:first])
        yield self._held()
        start = first + 1
        while start < len(block):
            # As many whole lines as are together within the limit, or the one that is not.
            end = block.rfind(b"\n", start, start + self._limit + 1) + 1
            if end:
                yield self._run(block[start:end])
            else:
                end = block.index(b"\n", start) + 1
                self._hold(block[start : end - 1])
                yield self._held()
            start = end

    def _run(self, whole: bytes) -> Run:
        """Lines of `whole`, which ends with a line feed."""
        if not self._keep_returns and b"\r" in whole:
            whole = whole.replace(b"\r\n", b"\n")
        texts = whole.split(b"\n")
        texts.pop()
        self._number += len(texts)
        return Run(self._number - len(texts), texts, len(whole))

    def _hold(self, piece: bytes) -> None:
        if not piece:
            return
        if self._room > 0:
            self._pieces.append(piece[: self._room])
            self._room -= len(piece)
        self._size += len(piece)
        self._quotes += piece.count(b'"')
        self._blank = self._blank and piece.isspace()
        self._last = piece[-1:]

    def _held(self) -> Run | Huge:
        """The held line, now finished."""
        head = b"".join(self._pieces)
        size = self._size - (self._last == b"\r")
        quotes, blank = self._quotes, self._blank
        self._forget()
        if size <= self._limit:
            return self._run(head + b"\n")
        self._number += 1
        return Huge(self._number - 1, head[: self._limit], size, quotes, blank)

    def finish(self) -> Iterator[Run | Huge]:
        if self._size:
            yield self._held()

    def cut(self, problem: str) -> Cut:
        return Cut(self._number, b"".join(self._pieces)[: self._limit], problem)
