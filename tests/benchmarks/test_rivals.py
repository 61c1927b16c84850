"""The rivals give the oracle's rows on small workloads: what is compared does the same work."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks.rivals.per_event import per_event
from benchmarks.rivals.polars_offline import offline
from benchmarks.workloads import Workload, spec_of, tables, write_tables
from schemas.load import parse_spec
from schemas.sequences import sequence_schema
from schemas.spec import Spec
from tests.machine import plain
from tests.oracles import oracle

Row = dict[str, Any]

CASES = {
    "as it is": (Workload(8, 12, 10, 40), {}, 1),
    "short sessions": (Workload(2, 12, 10, 40), {}, 1),
    "heads": (Workload(8, 12, 10, 60, seed=1), {"history": 7}, 1),
    "one content": (Workload(3, 8, 10, 30, seed=2), {"history": 1}, 1),
    # Few items: long chains of attribution. Coarse times: many records of one moment.
    "few items": (Workload(40, 8, 60, 90, items=3, seed=3), {"history": 20}, 1),
    "one moment": (Workload(8, 12, 20, 60, items=5, seed=4), {"history": 10}, 60_000),
}


def written(folder: Path, case: str, form: str) -> tuple[Spec, dict[str, pa.Table]]:
    """A case's records as files, and its spec."""
    workload, settings, coarse = CASES[case]
    records = {name: coarsened(table, coarse) for name, table in tables(workload).items()}
    write_tables(records, form, folder)
    return parse_spec(json.dumps(spec_of(form, **settings))), records


def coarsened(table: pa.Table, step: int) -> pa.Table:
    """The records with their times rounded down."""
    time = np.asarray(table["ts"]) // step * step
    return table.set_column(table.schema.get_field_index("ts"), "ts", pa.array(time))


def rows_in(folder: Path, spec: Spec) -> dict[str, Row]:
    """The sequences of an output folder by their ids."""
    table = pq.read_table(folder / "sequences").cast(sequence_schema(spec))
    rows = [row for batch in table.combine_chunks().to_batches() for row in plain(batch)]
    return {row["sequence_id"]: row for row in rows}


def expected(case: str, records: dict[str, pa.Table], spec: Spec) -> dict[str, Row]:
    """The oracle's sequences, without the fingerprint, which it does not know."""
    settings = spec_of("json", **CASES[case][1])
    result = oracle.sequences(settings, {n: t.to_pylist() for n, t in records.items()})
    assert not result.rejected
    return {row["sequence_id"]: row for row in result.sequences}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("run", "form"), [(offline, "arrow"), (per_event, "json")])
def test_a_rival_gives_the_rows_of_the_oracle(
    tmp_path: Path, case: str, run: Callable[[Spec, Path, Path], int], form: str
) -> None:
    spec, records = written(tmp_path / "in", case, form)
    rows = expected(case, records, spec)
    assert run(spec, tmp_path / "in", tmp_path / "out") == len(rows)
    found = rows_in(tmp_path / "out", spec)
    assert found.keys() == rows.keys()
    for name, row in rows.items():
        mark = found[name].pop("spec")
        assert len(mark) == 16
        assert found[name] == row


def test_the_cases_have_what_is_hard() -> None:
    shortened = tables(CASES["few items"][0])["views"]
    assert pc.count_distinct(shortened["item_id"]).as_py() <= 3
    moments = coarsened(tables(CASES["one moment"][0])["views"], 60_000).select(["user_id", "ts"])
    assert moments.group_by(["user_id", "ts"]).aggregate([]).num_rows < moments.num_rows / 2


def test_per_event_reads_arrow_too(tmp_path: Path) -> None:
    spec, records = written(tmp_path / "in", "as it is", "arrow")
    assert per_event(spec, tmp_path / "in", tmp_path / "out") == len(
        expected("as it is", records, spec)
    )
