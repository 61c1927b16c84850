"""Files of JSON lines to Texts."""

from collections.abc import Iterator

import numpy as np

from pipeline.files.blocks import read_blocks
from pipeline.files.inputs import BATCH_BYTES, MALFORMED, TOO_LARGE, Input, Reading, too_large
from pipeline.files.lines import Cut, Huge, Run, split_lines
from schemas.fetched import Damaged, Int64s, Texts


def read_json_lines(source: Input, reading: Reading) -> Iterator[Texts | Damaged]:
    """The lines that are not blank, undecoded, numbered from 1 with the blank ones counted.

    A line over the limit is Damaged; so is, once, a compressed stream that ends early.
    """
    batch = _Batch(source, reading)
    for item in split_lines(read_blocks(source), reading.record_bytes):
        match item:
            case Run():
                yield from batch.add(item)
            case Huge(blank=True):
                pass
            case Huge():
                detail = too_large(item.size, reading.record_bytes)
                yield source.damaged(item.line, item.head, TOO_LARGE, detail)
            case Cut():
                yield from batch.rest()
                yield source.damaged(item.line, item.head, MALFORMED, item.problem)
    yield from batch.rest()


class _Batch:
    """Texts gathered to batches of one size."""

    def __init__(self, source: Input, reading: Reading) -> None:
        self._source = source
        self._rows = reading.batch_rows
        self._texts: list[bytes] = []
        self._lines: list[Int64s] = []
        self._bytes = 0

    def add(self, run: Run) -> Iterator[Texts]:
        texts, lines = _not_blank(run)
        self._texts += texts
        self._lines.append(lines)
        self._bytes += run.size
        if len(self._texts) >= self._rows or self._bytes >= BATCH_BYTES:
            yield from self._full()

    def _full(self) -> Iterator[Texts]:
        lines = np.concatenate(self._lines)
        rows = self._rows
        whole = len(lines) // rows * rows if self._bytes < BATCH_BYTES else len(lines)
        for start in range(0, whole, rows):
            part = slice(start, min(start + rows, whole))
            origin = self._source.origin(lines[part])
            yield Texts(self._source.source, self._texts[part], origin)
        self._texts = self._texts[whole:]
        self._lines = [lines[whole:]]
        self._bytes = sum(map(len, self._texts))

    def rest(self) -> Iterator[Texts]:
        if self._texts:
            self._bytes = BATCH_BYTES
            yield from self._full()


def _not_blank(run: Run) -> tuple[list[bytes], Int64s]:
    texts = run.texts
    lines = np.arange(run.first, run.first + len(texts), dtype=np.int64)
    if all(texts) and not any(map(bytes.isspace, texts)):
        return texts, lines
    kept = [i for i, text in enumerate(texts) if text and not text.isspace()]
    return [texts[i] for i in kept], lines[kept]
