"""Physical lines fed to Python's csv reader, and which of them made each row."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.files.blocks import read_blocks
from pipeline.files.inputs import MALFORMED, TOO_LARGE, Input, too_large
from pipeline.files.lines import Cut, Huge, Run, split_lines

_NO_LINES = Run(1, [], 0)


@dataclass(frozen=True, slots=True)
class Row:
    """Cells of the row that starts at physical `line`; with a problem, its (reason, detail).

    `unclosed`: the input ended within a quoted cell, so that the row took all lines up to there.
    """

    line: int
    cells: list[str]
    raw: bytes
    problem: tuple[str, str] | None = None
    unclosed: bool = False


class Feed:
    """An iterator of lines for `csv.reader` that remembers what it gave for the present row.

    A row over the limit is not given on: in place of each further line the reader gets one quote
    where the line has an odd number of them, and so finds the end of the row in little memory.
    """

    def __init__(self, source: Input, limit: int, start: int) -> None:
        self._items = split_lines(read_blocks(source), limit, keep_returns=True)
        self._limit = limit
        self._start = start
        self._run, self._at = _NO_LINES, 0
        self._fresh = False
        self._huge: Huge | None = None
        self._reader = csv.reader(self)
        self._ended = False
        self.cut: Cut | None = None
        # The csv module has one limit for the process; here the row's own limit comes first.
        csv.field_size_limit(max(csv.field_size_limit(), limit + 2))
        self._forget()

    def _forget(self) -> None:
        """No row begun: its lines so far, and their bytes with the line feeds."""
        self._taken: list[bytes] = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._at == len(self._run.texts) and not self._load():
            self._ended = True
            raise StopIteration
        text = self._run.texts[self._at]
        self._at += 1
        self._fresh = False
        self._size += (self._huge.size if self._huge else len(text)) + 1
        if self._huge or self._size > self._limit + 2:
            # The first line too large is kept as the head of what is rejected.
            self._taken += [] if self._taken else [text]
            return '"' * ((self._huge.quotes if self._huge else text.count(b'"')) % 2)
        self._taken.append(text)
        return text.decode("utf-8", "surrogateescape") + "\n"

    def _load(self) -> bool:
        for item in self._items:
            if isinstance(item, Cut):
                self.cut = item
                return False
            if isinstance(item, Huge):
                self._huge, self._run = item, Run(item.line, [item.head], item.size)
            else:
                self._huge, self._run = None, item
            self._at = min(max(self._start - self._run.first, 0), len(self._run.texts))
            self._fresh = True
            if self._at < len(self._run.texts):
                return True
        return False

    def plain_run(self) -> tuple[int, list[bytes], list[list[str]]] | None:
        """The lines up to the end of the block as rows, where each line surely is one: quick.

        Gives (the first line's number, lines, rows; a blank line's row is empty), or None where a
        quote, a NUL, a lone carriage return or invalid UTF-8 asks for `row`, or nothing is left.
        """
        if self._at == len(self._run.texts) and not self._load():
            return None
        # A block is looked through once, or many quotes in it would cost the square of its size.
        if self._huge or not self._fresh:
            return None
        self._fresh = False
        texts = self._run.texts[self._at :]
        whole = b"\n".join(texts) + b"\n"
        if b'"' in whole or b"\0" in whole or whole.count(b"\r") != whole.count(b"\r\n"):
            return None
        try:
            lines = whole.decode().split("\n")
        except UnicodeDecodeError:
            return None
        lines.pop()
        line = self._run.first + self._at
        self._at += len(texts)
        return line, [text.removesuffix(b"\r") for text in texts], list(csv.reader(lines))

    def row(self) -> Row | None:
        """The next row, be it empty, or None at the end."""
        self._forget()
        line = 0
        if self._at < len(self._run.texts) or self._load():
            line = self._run.first + self._at
        try:
            cells = next(self._reader)
        except StopIteration:
            return None
        except csv.Error as error:
            return Row(line, [], self._raw(), (MALFORMED, f"not CSV: {error}"))
        raw = self._raw()
        unclosed = self._ended and self._size > 0
        return Row(line, cells, raw, self._problem(raw, unclosed), unclosed)

    def _raw(self) -> bytes:
        return b"\n".join(self._taken).removesuffix(b"\r")[: self._limit]

    def _problem(self, raw: bytes, unclosed: bool) -> tuple[str, str] | None:
        size = self._size - 1 - (bool(self._taken) and self._taken[-1].endswith(b"\r"))
        if size > self._limit:
            return TOO_LARGE, too_large(size, self._limit)
        if unclosed:
            return MALFORMED, "the input ends within a quoted cell: its closing quote is missing"
        if b"\0" in raw:
            return MALFORMED, f"a NUL at byte {raw.index(0)} of the row"
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            return MALFORMED, f"not UTF-8: {error.reason} at byte {error.start} of the row"
        return None
