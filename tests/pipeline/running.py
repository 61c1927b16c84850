"""Runs of the whole pipeline in this process, and what they wrote, read back."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.options import run_of
from pipeline.run import run
from schemas.codec import encode_batch
from tests.machine import Raw, plain, spec_of
from tests.outcome import Outcome, Row, by_id
from tests.strategies.cases import as_jsonl
from transforms.coders import whole

T = TypeVar("T")
Written = dict[str, Any]
"""A spec as its YAML reads."""


def drawn(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """So many examples, the same on every run."""
    found: list[T] = []

    @settings(max_examples=count, database=None, phases=[Phase.generate],
              suppress_health_check=[*HealthCheck])  # fmt: skip
    @given(strategy)
    def collect(example: T) -> None:
        found.append(example)

    collect()
    return found


@dataclass
class Ran:
    """A run's counters, warnings, and the folder that it wrote."""

    folder: Path
    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def table(self, name: str) -> pa.Table:
        """All rows of an output."""
        return pa.concat_tables(pq.read_table(file) for file in files_of(self.folder, name))

    def sequences(self) -> list[Row]:
        """The sequences as plain values, times in ms, in the order of their ids."""
        rows = plain(whole(self.table("sequences")))
        return sorted(rows, key=lambda row: str(row["sequence_id"]))

    def bytes_of_rows(self) -> bytes:
        """The sequences as bytes, in the order of their ids."""
        rows = self.table("sequences").sort_by("sequence_id")
        return encode_batch(whole(rows.take(list(range(rows.num_rows)))))

    def rejects(self) -> list[Row]:
        """The rejected records in a settled order."""
        return _settled(self.table("rejected"))

    def late(self) -> list[Row]:
        """The late records in a settled order."""
        return _settled(self.table("late"))

    def tombstones(self) -> set[tuple[str, int]]:
        """The erasures: user, time in ms."""
        table = self.table("tombstones")
        times = table["time"].cast(pa.int64()).to_pylist()
        return set(zip(table["user_id"].to_pylist(), times, strict=True))

    def outcome(self) -> Outcome:
        """All that the run gave, of files of JSON lines, as the oracle tells it."""
        rejected = Counter((r["source"], r["line"] - 1, r["reason"]) for r in self.rejects())
        dictionary = self.table("dictionary").to_pylist()
        return Outcome(
            by_id(self.sequences()),
            self.tombstones(),
            self.counts["copies"],
            rejected,
            Counter({s: n for (s, _), n in self._sums("filtered").items()}),
            self._sums("dropped"),
            {(row["kind"], row["id"], row["text"]) for row in dictionary},
        )

    def _sums(self, measure: str) -> Counter[tuple[str, Any]]:
        found: Counter[tuple[str, Any]] = Counter()
        for row in self.table("statistics").to_pylist():
            if row["measure"] == measure:
                found[row["source"], row["feature"]] += int(row["value"])
        return found


def _settled(table: pa.Table) -> list[Row]:
    return sorted(table.to_pylist(), key=repr)


def files_of(folder: Path, name: str) -> list[Path]:
    """The visible files of an output."""
    return sorted((folder / name).glob("*.parquet"))


def lines_in(folder: Path, sources: Mapping[str, Sequence[Raw]]) -> Path:
    """A folder with a file of JSON lines for each source."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, raws in sources.items():
        (folder / f"{name}.jsonl").write_bytes(as_jsonl(list(raws)))
    return folder


def run_in(
    spec: Written,
    read: Path | str,
    out: Path | str,
    *beam: str,
    also: Sequence[str] = (),
    **more: Any,
) -> Ran:
    """A run of a folder, or of Kafka up to its present end, into a folder."""
    until = "latest" if str(read).startswith("kafka:") else None
    ran = Ran(Path(out))
    write = [str(out), *also]
    start, security = more.pop("start", "earliest"), more.pop("security", {})
    what = run_of(spec_of(spec), str(read), write, until, start, None, security, beam, **more)
    ran.counts = run(what, ran.warnings.append)
    return ran


def several_files(folder: Path, name: str, raws: Sequence[Raw], count: int) -> None:
    """The records of a source dealt out to files, at any depth."""
    for number in range(count):
        part = folder / name / f"day={number % 2}" / f"part-{number}.jsonl"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(as_jsonl(list(raws[number::count])))


def as_json(record: Row) -> bytes:
    """One record as JSON."""
    return json.dumps(record, ensure_ascii=False).encode()
