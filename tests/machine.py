"""The rules without a runner: raw records through the decoder and one shard's firings."""

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.fetched import Origin, Texts
from schemas.load import parse_spec
from schemas.observations import observation_schema
from schemas.spec import Spec
from transforms.core.archive import CELLS
from transforms.core.decode.decoded import Decoded, decoded
from transforms.core.decode.plan import Plan
from transforms.core.shard import EVER, Fired, Held, Shard

Raw = bytes | dict[str, Any]


class ListBag:
    """A bag of chunks in memory, which keeps nothing but bytes, as a runner's state does."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def read(self) -> list[pa.RecordBatch]:
        """All chunks."""
        return [pa.ipc.open_stream(chunk).read_next_batch() for chunk in self.chunks]

    def add(self, value: pa.RecordBatch) -> None:
        """One more chunk."""
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, value.schema) as writer:
            writer.write_batch(value)
        self.chunks.append(out.getvalue().to_pybytes())

    def clear(self) -> None:
        """No chunks."""
        self.chunks.clear()


@dataclass
class Machine:
    """One shard that is fed and fired by hand; `held` goes through bytes between firings."""

    spec: Spec
    recent: ListBag = field(default_factory=ListBag)
    cells: list[ListBag] = field(default_factory=lambda: [ListBag() for _ in range(CELLS)])
    held: ListBag = field(default_factory=ListBag)
    waiting: pa.Table | None = None
    tombstones: set[tuple[str, int]] = field(default_factory=set)
    copies: int = 0

    def fire(self, rows: pa.Table, final: int = EVER) -> list[dict[str, Any]]:
        """The sequences of a firing after some more observations arrived, as plain rows."""
        rows = rows.select(observation_schema(self.spec).names)
        if self.waiting is not None:
            rows = pa.concat_tables([self.waiting, rows])
        states = self.held.read()
        held = Held.from_batch(states[0]) if states else Held()
        shard = Shard(self.spec, held, self.recent, list(self.cells))
        out: list[dict[str, Any]] = []
        fired = _drained(shard.fire(rows, final), out)
        self.waiting = fired.waiting
        self.held.clear()
        self.held.add(held.to_batch())
        gone = fired.tombstones
        times = gone["time"].cast(pa.int64()).to_pylist()
        self.tombstones |= set(zip(gone["user_id"].to_pylist(), times, strict=True))
        self.copies += int(fired.tally.opened.copies.sum())
        return out


def _drained(firing: Generator[pa.RecordBatch, None, Fired], out: list[dict[str, Any]]) -> Fired:
    """Adds the rows of a firing to `out` and gives what it returns."""
    while True:
        try:
            out += plain(next(firing))
        except StopIteration as stop:
            fired: Fired = stop.value
            return fired


def plain(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Sequences as plain values, times in ms."""
    table = pa.Table.from_batches([batch])
    for place, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type):
            table = table.set_column(place, column.name, table[column.name].cast(pa.int64()))
        elif column.name == "token_time":
            times = table[column.name].cast(pa.list_(pa.int64()))
            table = table.set_column(place, column.name, times)
    return list(table.to_pylist())


def spec_of(written: Mapping[str, Any]) -> Spec:
    """A spec from its plain values; JSON is YAML."""
    return parse_spec(json.dumps(written))


def decode(spec: Spec, sources: Mapping[str, Sequence[Raw]]) -> list[Decoded]:
    """Each source's records decoded as one batch."""
    return [_decode(spec, name, raws) for name, raws in sources.items()]


def observations(spec: Spec, parts: Iterable[Decoded]) -> pa.Table:
    """All observations of decoded batches, in the order of arrival."""
    schema = observation_schema(spec)
    rows = [part.rows.select(schema.names).cast(schema) for part in parts]
    return pa.concat_tables([schema.empty_table(), *rows])


def as_texts(raws: Iterable[Raw]) -> list[bytes]:
    """Records as JSON lines, without blank ones."""
    lines = (raw if isinstance(raw, bytes) else json.dumps(raw).encode() for raw in raws)
    return [line for line in lines if line.strip()]


def _decode(spec: Spec, name: str, raws: Sequence[Raw]) -> Decoded:
    texts = as_texts(raws)
    origin = Origin(file=f"{name}.jsonl", line=np.arange(1, len(texts) + 1))
    return decoded(Texts(name, texts, origin), Plan(spec, name))
