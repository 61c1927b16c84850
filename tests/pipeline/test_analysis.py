"""What analysts import: rows that are void, sketches compared, sequences as tables and back."""

import subprocess
import sys
from pathlib import Path
from random import Random

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.analysis import as_sequences, as_table, changes, counted
from schemas.outputs import DICTIONARY, STATISTICS
from schemas.sequences import sequence_schema
from schemas.spec import Spec
from tests.machine import Machine, decode, observations, spec_of
from tests.oracles import shop
from tests.outcome import Row
from tests.pipeline.running import lines_in, run_in
from tests.strategies import Case, cases
from transforms.core.sketches import sketches_by
from transforms.core.statistics import DAY, Counts, Mark
from transforms.core.statistics import as_table as rows_of


def made(case: Case) -> tuple[Spec, pl.DataFrame, pl.DataFrame]:
    """The spec, the sequences and the dictionary of a case."""
    spec = spec_of(case[0])
    parts = decode(spec, case[1])
    rows = [{**row, "spec": "0" * 16} for row in Machine(spec).fire(observations(spec, parts))]
    names = {key: text for part in parts for key, text in part.names.items()}
    kinds, ids = [kind for kind, _ in names], [number for _, number in names]
    table = pa.Table.from_pylist(rows, schema=sequence_schema(spec))
    texts = pa.table([kinds, ids, list(names.values())], schema=DICTIONARY)
    return spec, pl.DataFrame(table), pl.DataFrame(texts)


@settings(max_examples=60, suppress_health_check=[*HealthCheck])
@given(cases())
def test_sequences_become_tables_and_these_the_same_sequences(case: Case) -> None:
    spec, sequences, dictionary = made(case)
    twice = pl.concat([sequences, sequences])
    table = as_table(twice, spec, pl.concat([dictionary, dictionary]))
    assert table.height == twice["token_id"].list.len().sum()
    assert as_sequences(table, spec).equals(twice)
    assert as_sequences(table, spec).schema == twice.schema
    for row in table.filter(pl.col("what") == "content").head(5).to_dicts():
        whole = sequences[row["row"] % max(sequences.height, 1)].to_dicts()[0]
        at = whole["token_type"][: row["place"]].count(0)
        assert whole["token_id"][row["place"]] == row["token_id"]
        for name in spec.categories:
            assert row[f"category_{name}"] == whole[f"category_{name}"][at]


def test_a_table_reads_as_a_person_does() -> None:
    records: list[Row] = [
        shop.at(0, land="de", price=7, held=None, add=["m", 7], i="shoe", a=["VIEW", "LIKE"]),
        shop.at(1, rem=[7], i=5),
    ]
    spec, sequences, dictionary = made((shop.spec_of(), {"e": records, "x": []}))
    table = as_table(sequences, spec, dictionary)
    assert [*zip(table["what"], table["text"], strict=True)] == [
        ("land", "de"), ("price", "5 to 20"), ("likes", "7"), ("likes", "m"),
        ("content", "shoe"), ("actions", "VIEW+LIKE"),
        ("likes", "- 7"), ("content", "5"), ("actions", ""),
    ]  # fmt: skip


def log(*rows: tuple[str | None, int | None, int, float]) -> pl.DataFrame:
    """Rows of statistics: origin, position, when written (µs), value."""
    parts = [
        rows_of(
            [Counts("sessions", pa.array([0]).to_numpy(), pa.array([value]).to_numpy())],
            [] if origin is None else [Mark(origin, position or 0)],
            written,
        )
        for origin, position, written, value in rows
    ]
    return pl.DataFrame(pa.concat_tables([STATISTICS.empty_table(), *parts]))


def test_what_a_crash_set_back_is_void() -> None:
    table = log(
        ("a", 1, 10, 1.0), ("a", 5, 20, 2.0), ("a", 9, 30, 4.0), ("b", 9, 30, 8.0),
        ("a", 4, 40, 16.0), ("a", 4, 40, 32.0), ("a", 7, 50, 64.0), (None, None, 50, 128.0),
    )  # fmt: skip
    there = counted(table.lazy()).collect()["value"].to_list()
    assert there == [1.0, 8.0, 16.0, 32.0, 64.0, 128.0]


@pytest.mark.parametrize("number", range(60))
def test_a_job_that_crashes_counts_what_one_that_does_not(number: int) -> None:
    """Each origin goes on in steps of its own; a crash sets all back to what was committed."""
    random, crashes = Random(number), 1 + number % 4
    events = {origin: [random.randrange(1, 9) for _ in range(30)] for origin in "ab"}
    at, done, rows, clock = dict.fromkeys("ab", 0), dict.fromkeys("ab", 0), [], 0
    while crashes or any(at[o] < 30 for o in "ab"):
        clock += 1
        fate = random.random()
        if fate < 0.1 and crashes:
            at, crashes = dict(done), crashes - 1
        elif fate < 0.3:
            done = dict(at)
        else:
            origin = random.choice("ab")
            start, stop = at[origin], min(at[origin] + random.randrange(1, 8), 30)
            if start < stop:
                rows.append((origin, start, clock, float(sum(events[origin][start:stop]))))
                at[origin] = stop
    random.shuffle(rows)
    for origin, each in events.items():
        there = counted(log(*rows).lazy()).filter(pl.col("origin") == origin)
        assert there.select(pl.col("value").sum()).collect().item() == sum(each)


def test_new_and_returning_by_day() -> None:
    days = [{1, 2, 3}, {2, 3, 4}, set(range(2, 8000)), {1, 9000}]
    parts = []
    for number, members in enumerate(days):
        for half in ([m for m in members if m % 2], [m for m in members if not m % 2]):
            ids = pa.array(half, pa.int64()).to_numpy()
            group, sketch = sketches_by(ids * 0 + number * DAY, ids)
            parts.append(rows_of([Counts("items", group, sketch, DAY)]))
    table = pl.DataFrame(pa.concat_tables(parts))
    found = changes(table, "items")
    assert found["distinct"].to_list()[:2] == [3.0, 3.0]
    assert found["new"].to_list()[:2] == [3.0, 1.0]
    assert found["returning"].to_list()[:2] == [0.0, 2.0]
    assert found["distinct"][2] == pytest.approx(7998, rel=0.05)
    assert found["new"][2] == pytest.approx(7995, rel=0.05)
    assert found["known"][3] == pytest.approx(8000, rel=0.05)
    assert changes(table, "values", "land").height == 0


def test_a_measure_without_sketches_is_refused() -> None:
    with pytest.raises(ValueError, match="measure sessions: has values"):
        changes(log(("a", 1, 1, 1.0)), "sessions")


def test_it_needs_neither_beam_nor_kafka() -> None:
    code = (
        "import sys, pipeline.analysis\n"
        "print(sorted({'apache_beam', 'kafka', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_is_void_in_the_folder_of_a_bounded_run(tmp_path: Path) -> None:
    """Lines that are too large are given before the lines around them."""
    large = b'{"u": "%s"}' % (b"u" * 2000)
    raws = [large if number % 7 == 3 else shop.at(number, i=number) for number in range(40)]
    read = lines_in(tmp_path / "in", {"e": raws, "x": []})
    written = shop.spec_of(limits={"record_bytes": 1000})
    run_in(written, read, tmp_path / "out")
    every = pl.scan_parquet(tmp_path / "out/statistics/*.parquet")
    assert counted(every).collect().height == every.collect().height
    rejected = every.filter(pl.col("measure") == "rejected").select("value").sum().collect()
    assert rejected.item() == 6
