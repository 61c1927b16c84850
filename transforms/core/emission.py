"""S10, S11, S14: one sequence for each completed session, built only where it is drawn."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.fingerprint import fingerprint
from schemas.observations import source_names
from schemas.sequences import MS, sequence_schema
from schemas.spec import Spec
from schemas.thinning import drawn, draws
from transforms.core.arrays import Bools, Ints, ints, is_first, runs, sums_before
from transforms.core.entries import Entries
from transforms.core.history import Held, held
from transforms.core.identity import sequence_id
from transforms.core.lists import Lists
from transforms.core.timeline import Contents, Tokens, content_rows, interleave

PIECE = 1_000_000
"""Tokens in one batch of sequences, so that a firing's memory does not grow with its output."""

Recall = Callable[[Ints], pa.Table]
"""Reads the contents kept in these slots: by slot and, of each slot, the newest last."""


@dataclass(frozen=True, slots=True)
class Completed:
    """Completed sessions [s], by life: what their sequences are made from.

    `life` indexes the lives; `stop` is the number of contents of the life up to the session's
    last; `user`, `source`, `event_id` and `start` are of its first engagement.
    """

    life: Ints
    stop: Ints
    user: pa.Array
    source: Ints
    event_id: pa.Array
    start: Ints
    end: Ints
    new_contents: Ints
    raw_tokens: Ints

    def take(self, which: Ints) -> "Completed":
        """Some of the sessions."""
        return Completed(
            self.life[which],
            self.stop[which],
            self.user.take(which),
            self.source[which],
            self.event_id.take(which),
            self.start[which],
            self.end[which],
            self.new_contents[which],
            self.raw_tokens[which],
        )


@dataclass(frozen=True, slots=True)
class Past:
    """What the lives are made of: the entries, where each is superseded, the slot and number of
    contents held of each life before, and the new contents (see `transforms.core.archive`)."""

    entries: Entries
    until: Ints
    slot: Ints
    base: Ints
    new_life: Ints
    new: pa.Table


def sequence_ids(completed: Completed, spec: Spec) -> list[str]:
    """S11 for each session."""
    names = source_names(spec)
    columns = (
        completed.user.to_pylist(),
        (names[source] for source in completed.source.tolist()),
        completed.event_id.to_pylist(),
        completed.start.tolist(),
    )
    return [sequence_id(*identity) for identity in zip(*columns, strict=True)]


def emitted(
    completed: Completed, past: Past, spec: Spec, recall: Recall
) -> tuple[Completed, Held, Generator[pa.RecordBatch, None, Ints]]:
    """The sessions that are drawn, what their sequences hold, and these sequences, in batches of
    bounded size, which return the pause before each session, as in `Tally`."""
    ids = sequence_ids(completed, spec)
    draw = draws(spec.sampling.seed, ids) if spec.sampling else np.zeros(len(ids))
    may = np.flatnonzero(_may_be_drawn(completed, past, spec, draw))
    some = completed.take(may)
    holding = held(
        some.life, some.stop, past.entries, past.until, spec.history.contents, spec.history.tokens
    )
    if spec.sampling:
        yes = np.flatnonzero(drawn(draw[may], holding.tokens, spec.sampling.tokens))
        may, some, holding = may[yes], some.take(yes), _only(holding, yes)
    ids = [ids[i] for i in may.tolist()]
    pieces = _in_pieces(some, pa.array(ids, pa.string()), holding, past, spec, recall)
    return some, holding, pieces


def _may_be_drawn(
    completed: Completed, past: Past, spec: Spec, draw: npt.NDArray[np.float64]
) -> Bools:
    """False where a lower bound of the length tells already that a sequence is not drawn."""
    if not spec.sampling:
        return np.ones(len(draw), bool)
    contents = np.minimum(completed.stop, spec.history.contents)
    entries = np.bincount(past.entries.life, minlength=len(past.base))[completed.life]
    cut = 2 * contents + entries > spec.history.tokens
    least = np.where(cut, 2, 2 * contents)
    return drawn(draw, least, spec.sampling.tokens)


def _only(holding: Held, which: Ints) -> Held:
    number = np.full(len(holding.life), -1)
    number[which] = np.arange(len(which))
    sequence = number[holding.sequence]
    kept = sequence >= 0
    return Held(
        holding.life[which],
        holding.oldest[which],
        holding.stop[which],
        sequence[kept],
        holding.entry[kept],
    )


def _in_pieces(
    completed: Completed, ids: pa.Array, holding: Held, past: Past, spec: Spec, recall: Recall
) -> Generator[pa.RecordBatch, None, Ints]:
    if not len(ids):
        return np.empty(0, np.int64)
    first_row, contents, table = _contents(holding, past, recall)
    categories_of = [Lists.of(table[f"category:{name}"]) for name in spec.categories]
    mark = fingerprint(spec)
    piece = (np.cumsum(holding.tokens) - 1) // PIECE
    for start, length in zip(*runs(is_first(piece)), strict=True):
        which = np.arange(start, start + length)
        part = _stretch(holding, start, start + length)
        rows = content_rows(part, first_row[part.life])
        tokens = interleave(part, rows, contents, past.entries)
        categories = [lists.at(rows) for lists in categories_of]
        yield _batch(completed.take(which), ids.take(which), part, tokens, categories, mark, spec)
    return _pauses(completed, holding, first_row, contents)


def _pauses(completed: Completed, holding: Held, first_row: Ints, contents: Contents) -> Ints:
    """[s] how long before each session the content before it was, -1 where that is not held."""
    before = holding.stop - completed.new_contents - 1
    there = before >= holding.oldest
    row = np.where(there, first_row[holding.life] + before, 0)
    return np.where(there, completed.start - contents.time[row], -1)


def _stretch(holding: Held, start: int, stop: int) -> Held:
    """The sequences from `start` up to `stop`; as pairs stand by sequence, these are a stretch."""
    pairs = slice(*np.searchsorted(holding.sequence, [start, stop]))
    which = slice(start, stop)
    return Held(
        holding.life[which],
        holding.oldest[which],
        holding.stop[which],
        holding.sequence[pairs] - start,
        holding.entry[pairs],
    )


def _contents(holding: Held, past: Past, recall: Recall) -> tuple[Ints, Contents, pa.Table]:
    """The contents of the lives, older ones read where a sequence reaches back to them; and the
    row at which each life's content 0 stands, or would stand."""
    reaches = np.zeros(len(past.base), bool)
    reaches[holding.life[holding.oldest < past.base[holding.life]]] = True
    lives = np.flatnonzero(reaches)
    lives = lives[np.argsort(past.slot[lives])]
    old = recall(past.slot[lives]) if len(lives) else past.new.slice(0, 0)
    old_life = lives[np.searchsorted(past.slot[lives], ints(old["slot"]))]
    life = np.concatenate([old_life, past.new_life])
    order = np.argsort(life, kind="stable")
    table = pa.concat_tables([old, past.new]).take(order).combine_chunks()
    start = np.minimum(np.searchsorted(life[order], np.arange(len(past.base))), len(life) - 1)
    first_row = start - ints(table["ordinal"])[start]
    columns = (ints(table[name]) for name in ("item", "actions", "time"))
    return first_row, Contents(life[order], *columns), table


def _batch(
    completed: Completed,
    ids: pa.Array,
    holding: Held,
    tokens: Tokens,
    categories: list[pa.Array],
    mark: str,
    spec: Spec,
) -> pa.RecordBatch:
    schema = sequence_schema(spec)
    offsets = pa.array(tokens.offsets, pa.int32())
    contents = pa.array(sums_before(holding.contents), pa.int32())

    def lists(values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(offsets, values)

    columns = [
        completed.user,
        ids,
        pa.array(completed.start).cast(MS),
        pa.array(completed.end).cast(MS),
        lists(pa.array(tokens.kind)),
        lists(pa.array(tokens.id)),
        lists(pa.array(tokens.time).cast(MS)),
        pa.array(holding.contents, pa.int32()),
        pa.array(completed.new_contents, pa.int32()),
        pa.array(completed.raw_tokens),
        pa.array([mark] * len(ids), pa.string()),
        *(pa.ListArray.from_arrays(contents, c) for c in categories),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
