"""An example as its README has it, run: the prepare script, then `phia run`."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from tests.machine import plain
from tests.oracles import oracle
from tests.outcome import by_id, different_rows
from transforms.core.statistics import totals

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / os.environ.get("PHIA_DATA", "../shared/data")
LONGEST_S = 100

Record = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """A folder of examples/, and what running it left."""

    name: str
    input: Path
    output: Path
    said: str

    @property
    def spec(self) -> dict[str, Any]:
        """The spec as its YAML reads."""
        spec: dict[str, Any] = YAML(typ="safe").load(folder_of(self.name) / "spec.yaml")
        return spec

    @cached_property
    def sequences(self) -> pa.Table:
        """All sequences."""
        return pq.read_table(self.output / "sequences")

    @cached_property
    def totals(self) -> Mapping[tuple[str, str | None, str | None, str | None], float]:
        """The statistics, summed over their windows."""
        return totals(pq.read_table(self.output / "statistics"))

    def rows(self, name: str) -> list[Row]:
        """Another output, row by row."""
        rows: list[Row] = pq.read_table(self.output / name).to_pylist()
        return rows

    def sequences_of(self, users: Iterable[str]) -> list[Row]:
        """The sequences of some users, as plain values."""
        wanted = pc.is_in(self.sequences["user_id"], pa.array(users, pa.string()))
        batches = self.sequences.filter(wanted).to_batches()
        return [row for batch in batches for row in plain(batch)]

    def newest(self) -> list[Row]:
        """The last sequence of each user, as plain values."""
        order = pc.sort_indices(self.sequences["session_end"])
        users = self.sequences["user_id"].take(order).to_pylist()
        last = dict(zip(users, order.to_pylist(), strict=True))
        batches = self.sequences.take(pa.array(last.values(), pa.int64())).to_batches()
        return [row for batch in batches for row in plain(batch)]

    def differences(self, users: Sequence[str], sources: dict[str, list[Record]]) -> list[str]:
        """Where the sequences of some users, whose records these are, are not the oracle's."""
        want = oracle.sequences(self.spec, sources)
        assert want.rejected == []
        return different_rows(by_id(self.sequences_of(users)), by_id(want.sequences))


def folder_of(name: str) -> Path:
    """Where an example is."""
    return ROOT / "examples" / name


def ran(name: str, published: str, folder: Path, *options: str) -> Example:
    """Runs an example into a folder. Skips the test where the published data are absent."""
    if not (DATA / published).exists():
        pytest.skip(f"{DATA / published} is not there; PHIA_DATA names the folder of real logs")
    read, write = folder / "input", folder / "sequences"
    _done([sys.executable, str(folder_of(name) / "prepare.py"), "--output", str(read), *options])
    phia = [str(Path(sys.executable).parent / "phia"), "run", str(folder_of(name) / "spec.yaml")]
    said = _done([*phia, "--input", str(read), "--output", str(write)])
    return Example(name, read, write, said)


def _done(command: list[str]) -> str:
    run = subprocess.run(
        command,
        env={**os.environ, "PHIA_DATA": str(DATA)},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def csv_records(file: Path) -> list[Record]:
    """The records of a CSV file: cells as text, an empty one as null."""
    with file.open(encoding="utf-8", newline="") as text:
        return [{k: v or None for k, v in row.items()} for row in csv.DictReader(text)]
