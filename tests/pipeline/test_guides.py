"""What README and the guides tell their readers to run does what they say."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from kafka_client.clients import Connection
from kafka_client.topics import create_topics
from model.reader.files import SequenceFiles
from model.reader.state import ReaderState
from pipeline.erase import erase
from pipeline.options import run_of
from pipeline.run import run
from pipeline.simulate.command import platform_of
from pipeline.simulate.files import write_files
from schemas.load import load_spec
from schemas.thinning import drawn, draws
from tests.documents import ROOT, blocks, text_of
from transforms.core.statistics import totals

README = text_of(ROOT / "README.md")
TRAINERS = text_of(ROOT / "docs" / "guides" / "trainers.md")
ANALYSTS = text_of(ROOT / "docs" / "guides" / "analysts.md")
QUERIES = blocks(ANALYSTS, "sql")
SPEC = load_spec(ROOT / "examples" / "shop" / "spec.yaml")
OUTPUTS = ["sequences", "statistics", "rejected", "late", "dictionary", "tombstones"]


def said(code: str, folder: Path, *arguments: str) -> str:
    """What a block of Python prints when it is run in a folder."""
    script = folder / "block.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def module_of(code: str, folder: Path) -> ModuleType:
    """A block of Python as a module."""
    file = folder / "block.py"
    file.write_text(code, encoding="utf-8")
    found = importlib.util.spec_from_file_location("block", file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def code_with(text: str, part: str) -> str:
    """The block of Python that holds a part."""
    (code,) = [code for code in blocks(text, "python") if part in code]
    return code


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of simulated records, with erasures."""
    folder = tmp_path_factory.mktemp("raw")
    numbers = {"seed": 1, "users": 300, "items": 300, "malformed": 0.01, "erasures": 0.3}
    write_files(platform_of(numbers, [], SPEC.limits.record_bytes), folder)
    return folder


@pytest.fixture(scope="module")
def out(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder within which `out` is what a run made of them."""
    folder = tmp_path_factory.mktemp("run")
    what = run_of(SPEC, str(raw), [str(folder / "out")], None, "earliest", None, {}, [])
    assert run(what, pytest.fail)["sequences"] > 200
    shutil.copy(ROOT / "examples" / "shop" / "spec.yaml", folder)
    return folder


def test_the_readme_gives_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "spec.yaml").write_text(blocks(README, "yaml")[0], encoding="utf-8")
    (tmp_path / "in" / "views.jsonl").write_text(blocks(README, "json")[0], encoding="utf-8")
    said(code_with(README, "beam.Pipeline"), tmp_path)
    (row,) = pq.read_table(tmp_path / "out" / "sequences").to_pylist()
    tokens = [*zip(row["token_type"], row["token_id"], strict=True)]
    assert " ".join(map(str, tokens[1:3])) in README
    assert " ".join(map(str, tokens[3:])) in README
    assert tokens == [(2, 44), (0, 7), (1, 1), (0, 9), (1, 2)]


@pytest.fixture(scope="module")
def replayed(raw: Path, kafka: Connection) -> str:
    """A topic that a run has written twice."""
    create_topics(kafka, {"replayed": 2})
    url = f"kafka://{kafka.bootstrap}/replayed"
    for _ in range(2):
        what = run_of(SPEC, str(raw), [url], None, "earliest", None, {}, [])
        run(what, pytest.fail)
    return url


def valid_rows(out: Path) -> list[dict[str, Any]]:
    """The sequences in the folder that no tombstone makes void."""
    rows = pq.read_table(out / "out" / "sequences").to_pylist()
    gone = {t["user_id"]: t["time"] for t in pq.read_table(out / "out" / "tombstones").to_pylist()}
    assert gone
    return [r for r in rows if r["user_id"] not in gone or r["session_end"] > gone[r["user_id"]]]


@pytest.mark.kafka
def test_the_consumer_reads_every_sequence_that_is_not_void(
    replayed: str, out: Path, kafka: Connection, tmp_path: Path
) -> None:
    code = code_with(TRAINERS, "KafkaConsumer")
    lines = said(code, tmp_path, kafka.bootstrap, "replayed")
    read = [line.split()[:2] for line in lines.splitlines()]
    there = [[row["user_id"], row["sequence_id"]] for row in valid_rows(out)]
    assert sorted(read) == sorted(there)


@pytest.mark.kafka
def test_the_trainer_in_twenty_lines_trains_on_every_sequence_once(
    replayed: str, out: Path, tmp_path: Path
) -> None:
    code = code_with(TRAINERS, "optimizer.step()")
    assert len(code.partition("spec, url")[2].splitlines()) <= 20
    lines = said(code, tmp_path, str(ROOT / "examples" / "shop" / "spec.yaml"), replayed)
    said_of_batches = [line.split() for line in lines.splitlines()]
    there = valid_rows(out)
    assert sum(int(sequences) for sequences, _, _ in said_of_batches) == len(there)
    assert sum(int(tokens) for _, tokens, _ in said_of_batches) == sum(
        len(row["token_id"]) for row in there
    )
    losses = [float(loss) for _, _, loss in said_of_batches]
    assert sum(losses[-5:]) < sum(losses[:5])


def test_a_trainer_goes_on_where_it_stopped(out: Path, tmp_path: Path) -> None:
    keeping = module_of(code_with(TRAINERS, "def load"), tmp_path)
    model, state = torch.nn.Embedding(3, 2), ReaderState()
    files = partial(SequenceFiles, out / "out", SPEC, tokens=4096)
    whole = [*files()]
    for batch in whole[:2]:
        state.advance(batch.progress)
    keeping.save(tmp_path / "saved", model, state)
    again = torch.nn.Embedding(3, 2)
    loaded = keeping.load(tmp_path / "saved", again)
    assert torch.equal(again.weight, model.weight)
    rest = [batch.sequence_ids for batch in files(start=loaded)]
    assert rest == [batch.sequence_ids for batch in whole[2:]]
    assert rest


def test_rows_are_chosen_by_the_pipelines_draw(out: Path, tmp_path: Path) -> None:
    sampled = module_of(code_with(TRAINERS, "def sampled"), tmp_path).sampled
    ids = pa.array([f"{number:032x}" for number in range(300)])
    lengths = np.repeat([100, 5000], 150)
    tokens = pa.array([[0] * int(length) for length in lengths], pa.list_(pa.int64()))
    rows = pa.RecordBatch.from_pydict({"sequence_id": ids, "token_id": tokens})
    mine = drawn(draws(0, ids.to_pylist()), lengths, 2048)
    assert sampled(rows)["sequence_id"].to_pylist() == ids.filter(pa.array(mine)).to_pylist()
    assert 150 < mine.sum() < 300
    batches = [*SequenceFiles(out / "out", SPEC, tokens=4096, choose=sampled)]
    assert batches


BATCH = pa.table(
    {
        "token_type": pa.array([[2, 0, 1, 3, 0, 1], [0, 1]], pa.list_(pa.int16())),
        "token_id": pa.array([[44, 7, 1, 5, 9, 2], [8, 0]], pa.list_(pa.int64())),
    }
)


def test_ranking_is_computed_from_the_columns(tmp_path: Path) -> None:
    ranking = module_of(code_with(TRAINERS, "def ranking"), tmp_path).ranking
    for batch in (BATCH.to_batches()[0], BATCH.slice(1).to_batches()[0]):
        types, ids, offsets, target, has = ranking(batch)
        rows = batch.to_pylist()
        assert types.tolist() == [kind for row in rows for kind in row["token_type"]]
        assert np.diff(offsets).tolist() == [len(row["token_id"]) for row in rows]
        assert target[has].tolist() == ([1, 2, 0] if len(rows) == 2 else [0])
        assert (ids[has]).tolist() == ([7, 9, 8] if len(rows) == 2 else [8])


def test_retrieval_is_computed_from_the_columns(tmp_path: Path) -> None:
    retrieval = module_of(code_with(TRAINERS, "def retrieval"), tmp_path).retrieval
    first, second = BATCH.to_pylist()
    fused = [(2, 44, None), (0, 7, 1), (3, 5, None), (0, 9, 2)]
    assert retrieval(first, 2) == (fused, [None, 9, None, None])
    assert retrieval(first, 1) == (fused, [None, None, None, None])
    assert retrieval(second, 3) == ([(0, 8, 0)], [None])


def test_the_draw_is_the_pipelines(tmp_path: Path) -> None:
    of_guide = module_of(code_with(TRAINERS, "def drawn"), tmp_path).drawn
    ids = [f"{number:032x}" for number in range(300)]
    mine = drawn(draws(5, ids), np.full(300, 1000), 300)
    assert mine.tolist() == [of_guide(name, 1000, 300, seed=5) for name in ids]
    assert 0 < mine.sum() < 300


def test_the_folder_is_read_as_the_trainers_guide_says(out: Path) -> None:
    code = code_with(TRAINERS, "scan_parquet") + "print(sequences.collect().height)\n"
    assert int(said(code, out)) == pq.read_table(out / "out" / "sequences").num_rows


@pytest.mark.parametrize("number", range(len(blocks(ANALYSTS, "python"))))
def test_the_analysts_python_runs(number: int, out: Path) -> None:
    assert "shape: " in said(blocks(ANALYSTS, "python")[number], out)


def test_the_most_popular_contents_are_counted_once_each(out: Path) -> None:
    code = (
        code_with(ANALYSTS, "popular").replace(".head(20)", "").replace("print(", "everything = (")
    )
    total = said(code + "print(everything['engagements'].sum())\n", out)
    statistics = pq.read_table(out / "out" / "statistics")
    assert int(total) == totals(statistics)["new_contents", None, None, None]


@pytest.fixture
def duck(out: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the views that the guide sets up."""
    monkeypatch.chdir(out)
    with duckdb.connect() as connection:
        connection.execute(QUERIES[0])
        yield connection


def query_with(part: str) -> str:
    """The query of the analysts' guide that holds a part."""
    (query,) = [query for query in QUERIES[1:] if part in query]
    return query


@pytest.mark.parametrize("number", range(1, len(QUERIES)))
def test_the_analysts_sql_runs(number: int, duck: duckdb.DuckDBPyConnection) -> None:
    found = duck.sql(QUERIES[number]).pl()
    assert found.height or "horizon_needed" in QUERIES[number]  # of files nothing is late


def test_the_curves_meet_what_the_run_gave(out: Path, duck: duckdb.DuckDBPyConnection) -> None:
    """At its own gap, N and no thinning; and beyond, they go the right way."""
    sums = totals(pq.read_table(out / "out" / "statistics"))
    gaps = dict(duck.sql(query_with("content_gap")).fetchall())
    assert gaps[1800] == sums["sessions", None, None, None]
    assert [*gaps.values()] == sorted(gaps.values(), reverse=True)
    assert gaps[60] > gaps[1800] > gaps[86400]
    by_n = duck.sql(query_with("history_contents_sum")).fetchall()
    kept = {n: contents for n, contents, _ in by_n}
    contents = pq.read_table(out / "out" / "sequences")["contents"].to_pylist()
    assert kept[4096] == sum(contents)
    assert kept[16] == sum(min(count, 16) for count in contents)
    lengths = [len(ids) for ids in pq.read_table(out / "out" / "sequences")["token_id"].to_pylist()]
    for c, cost, tokens in duck.sql(query_with("sequence_length_cost' AND size <= c")).fetchall():
        rate = [min(1, c / n) for n in lengths]
        whole = sum(n**2 for n in lengths), sum(lengths)
        thinned = [sum(n**k * p for n, p in zip(lengths, rate, strict=True)) for k in (2, 1)]
        assert cost == pytest.approx(thinned[0] / whole[0])
        assert tokens == pytest.approx(thinned[1] / whole[1])


def test_the_most_popular_are_the_same_in_sql(out: Path, duck: duckdb.DuckDBPyConnection) -> None:
    code = code_with(ANALYSTS, "popular").replace("print(", "everything = (")
    said_by_polars = said(code + "print(everything['engagements'].to_list())\n", out)
    in_sql = [count for _, count in duck.sql(query_with("list_zip")).fetchall()]
    assert str(in_sql) == said_by_polars.strip()


def test_duckdb_polars_and_pandas_read_every_output_as_it_is(
    out: Path, duck: duckdb.DuckDBPyConnection
) -> None:
    for name in OUTPUTS:
        rows = pq.read_table(out / "out" / name)
        assert pl.read_parquet(out / "out" / name / "*.parquet").height == rows.num_rows
        in_pandas = pd.read_parquet(out / "out" / name)
        assert [*in_pandas.columns] == rows.column_names
        assert len(in_pandas) == rows.num_rows
        assert duck.read_parquet(f"out/{name}/*.parquet").columns == rows.column_names


def test_void_rows_are_those_that_erase_removes(out: Path, tmp_path: Path) -> None:
    frames = {name: pl.scan_parquet(out / "out" / name / "*.parquet") for name in OUTPUTS}
    query = blocks(ANALYSTS, "sql")[-1]
    void = pl.SQLContext(frames).execute(query, eager=True)["void"][0]
    for name in ("sequences", "tombstones"):
        (tmp_path / name).mkdir()
        table = pq.read_table(out / "out" / name)
        pq.write_table(table, tmp_path / name / "part.parquet")
    # A run emits nothing void of its own; an erasure of later does.
    user = pq.read_table(out / "out" / "sequences")["user_id"][0].as_py()
    later = pa.table({"user_id": [user], "time": [4_000_000_000_000]}).cast(
        pa.schema([("user_id", pa.string()), ("time", pa.timestamp("ms", "UTC"))])
    )
    pq.write_table(later, tmp_path / "tombstones" / "later.parquet")
    frames |= {n: pl.scan_parquet(tmp_path / n / "*.parquet") for n in ("sequences", "tombstones")}
    void_later = pl.SQLContext(frames).execute(query, eager=True)["void"][0]
    assert void_later > void
    assert erase(tmp_path)[0] == void_later
