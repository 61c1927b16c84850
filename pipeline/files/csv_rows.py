"""CSV files, with a header row, to Columns of text."""

from collections.abc import Generator, Iterator

import numpy as np
import pyarrow as pa

from pipeline.files.csv_feed import Feed, Row
from pipeline.files.inputs import BATCH_BYTES, MALFORMED, Input, Reading, repeated
from schemas.fetched import Columns, Damaged, Int64s


def read_csv(source: Input, reading: Reading) -> Iterator[Columns | Damaged]:
    """Rows as the csv module reads them (RFC 4180); an empty cell is null, a blank line no row.

    A row with another number of cells than the header, a NUL, bytes that are not UTF-8 or too
    many bytes is Damaged, as is once an input without a usable header. A quote that is never closed
    costs the line it stands in: the lines after it are read anew.
    """
    feed = Feed(source, reading.record_bytes, 1)
    header = _header(feed)
    if header is None:
        if feed.cut:
            yield source.damaged(feed.cut.line, feed.cut.head, MALFORMED, feed.cut.problem)
        return
    problem = header.problem or _problem_of_names(header.cells)
    if problem:
        yield source.damaged(header.line, header.raw, *problem)
        return
    table = _Table(source, reading, header.cells)
    start = yield from table.rows_of(feed)
    if start:
        yield from table.rows_of(Feed(source, reading.record_bytes, start))
    yield from table.rest()


def _header(feed: Feed) -> Row | None:
    while (row := feed.row()) and not row.problem and not row.raw.strip():
        pass
    return row


def _problem_of_names(names: list[str]) -> tuple[str, str] | None:
    if not all(names):
        return MALFORMED, f"the header has no name for column {names.index('') + 1}"
    twice = repeated(names)
    return (MALFORMED, f"the header has more than once: {', '.join(twice)}") if twice else None


class _Table:
    """Good rows gathered to batches."""

    def __init__(self, source: Input, reading: Reading, names: list[str]) -> None:
        self._source = source
        self._reading = reading
        self._width = len(names)
        place = {name: at for at, name in enumerate(names)}
        self._columns = {name: place[name] for name in reading.wanted(names)}
        self._lines: list[int] = []
        self._raw: list[bytes] = []
        self._cells: list[list[str]] = []
        self._bytes = 0

    def rows_of(self, feed: Feed) -> Generator[Columns | Damaged, None, int]:
        """Reads to the end; returns the line to go on at in a new feed, or 0."""
        while True:
            if plain := feed.plain_run():
                yield from self._add_plain(*plain)
            elif row := feed.row():
                yield from self._add(row)
                if row.unclosed and not feed.cut:
                    return row.line + 1
            else:
                break
        if feed.cut:
            yield from self.rest()
            cut = feed.cut
            yield self._source.damaged(cut.line, cut.head, MALFORMED, cut.problem)
        return 0

    def _add_plain(
        self, first: int, raw: list[bytes], rows: list[list[str]]
    ) -> Iterator[Columns | Damaged]:
        if set(map(len, rows)) != {self._width} or not all(map(bytes.strip, raw)):
            for at, cells in enumerate(rows):
                yield from self._add(Row(first + at, cells, raw[at]))
            return
        self._lines += range(first, first + len(rows))
        self._raw += raw
        self._cells += rows
        self._bytes += sum(map(len, raw))
        yield from self._full()

    def _add(self, row: Row) -> Iterator[Columns | Damaged]:
        problem = row.problem
        if problem is None and not row.raw.strip():
            return
        if problem is None and len(row.cells) != self._width:
            problem = MALFORMED, f"{len(row.cells)} cells where the header has {self._width}"
        if problem:
            yield self._source.damaged(row.line, row.raw, *problem)
            return
        self._lines.append(row.line)
        self._raw.append(row.raw)
        self._cells.append(row.cells)
        self._bytes += len(row.raw)
        yield from self._full()

    def _full(self) -> Iterator[Columns]:
        rows = self._reading.batch_rows
        if self._bytes >= BATCH_BYTES:
            yield from self.rest()
        elif len(self._raw) >= rows:
            yield from self._give(len(self._raw) // rows * rows)

    def rest(self) -> Iterator[Columns]:
        """All rows gathered so far."""
        yield from self._give(len(self._raw))

    def _give(self, count: int) -> Iterator[Columns]:
        lines, rows = np.array(self._lines[:count], dtype=np.int64), self._reading.batch_rows
        for start in range(0, count, rows):
            part = slice(start, min(start + rows, count))
            yield self._batch(lines[part], self._raw[part], self._cells[part])
        self._lines = self._lines[count:]
        self._raw = self._raw[count:]
        self._cells = self._cells[count:]
        self._bytes = sum(map(len, self._raw))

    def _batch(self, lines: Int64s, raw: list[bytes], rows: list[list[str]]) -> Columns:
        cells = list(zip(*rows, strict=True))
        columns = {
            name: pa.array([cell or None for cell in cells[at]], pa.string())
            for name, at in self._columns.items()
        }
        return Columns(self._source.source, pa.table(columns), self._source.origin(lines), raw)
