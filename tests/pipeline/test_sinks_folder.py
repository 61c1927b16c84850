"""A run's folder: whole or not at all, every output there, of the schemas that are promised."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.run import RunFailed
from pipeline.sinks import folder, parquet
from pipeline.sinks.folder import HIDDEN, OutputError, check_output, publish
from schemas.load import SPEC_FILE, load_spec
from schemas.outputs import LATE, output_schemas
from tests.machine import Raw, spec_of
from tests.oracles import shop
from tests.pipeline.running import Ran, files_of, lines_in, run_in

SPEC = shop.spec_of()
SCHEMAS = output_schemas(spec_of(SPEC))


def views(*times: int) -> dict[str, list[Raw]]:
    return {"e": [shop.at(time, i=1, a="VIEW", land="x") for time in times], "x": []}


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    return run_in(SPEC, lines_in(tmp_path / "in", views(0, 5000)), tmp_path / "out")


def test_every_output_has_files_of_its_schema_and_nothing_is_hidden(ran: Ran) -> None:
    assert sorted(path.name for path in ran.folder.iterdir()) == sorted([*SCHEMAS, SPEC_FILE])
    for name, schema in SCHEMAS.items():
        assert files_of(ran.folder, name)
        for file in files_of(ran.folder, name):
            assert pq.read_schema(file).equals(schema), name
            assert pq.read_schema(file).metadata == schema.metadata
            groups = pq.ParquetFile(file).metadata
            assert {
                groups.row_group(g).column(c).compression
                for g in range(groups.num_row_groups)
                for c in range(groups.num_columns)
            } <= {"ZSTD"}


def test_the_spec_is_kept_beside_what_it_made(ran: Ran) -> None:
    assert load_spec(ran.folder / SPEC_FILE) == spec_of(SPEC)


def test_polars_and_duckdb_style_globs_see_only_rows_of_the_output(ran: Ran) -> None:
    import polars as pl

    frame = pl.scan_parquet(ran.folder / "sequences" / "*.parquet").collect()
    assert frame.height == 2
    assert frame["session_end"].dtype == pl.Datetime("ms", "UTC")


def test_a_folder_that_holds_output_is_refused_without_replace(ran: Ran, tmp_path: Path) -> None:
    before = files_of(ran.folder, "sequences")
    with pytest.raises(OutputError, match="holds a run's output already; say --replace"):
        run_in(SPEC, tmp_path / "in", ran.folder)
    assert files_of(ran.folder, "sequences") == before
    more = lines_in(tmp_path / "more", views(0, 5000, 10_000))
    again = run_in(SPEC, more, ran.folder, replace=True)
    assert len(again.sequences()) == 3
    assert not set(files_of(ran.folder, "sequences")) & set(before)


def test_a_disk_that_is_full_is_one_line_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet, "GROUP_BYTES", 1)
    monkeypatch.setattr(pq, "ParquetWriter", broken)
    with pytest.raises(RunFailed, match=r"^\[Errno 28\] No space left on device$"):
        run_in(SPEC, lines_in(tmp_path / "in", views(0, 5000)), tmp_path / "out")


@pytest.mark.parametrize("replace", [False, True])
def test_a_run_that_fails_midway_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    read, out = lines_in(tmp_path / "in", views(0, 5000)), tmp_path / "out"
    before = run_in(SPEC, read, out).bytes_of_rows() if replace else b""

    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "close", broken)
    with pytest.raises(RunFailed) as raised:
        run_in(SPEC, read, out, replace=replace)
    assert "No space left on device" in str(raised.value)
    assert "\n" not in str(raised.value)
    monkeypatch.undo()
    if replace:
        assert Ran(out).bytes_of_rows() == before
    else:
        assert [path.name for path in out.iterdir()] == [HIDDEN]
    after = run_in(SPEC, read, out, replace=replace)
    assert len(after.sequences()) == 2
    assert not (out / HIDDEN).exists()


def test_what_a_failed_run_left_hidden_is_not_published(tmp_path: Path) -> None:
    hidden = tmp_path / "out" / HIDDEN / "sequences"
    hidden.mkdir(parents=True)
    (hidden / "part-old.parquet").write_bytes(b"half")
    ran = run_in(SPEC, lines_in(tmp_path / "in", views(0)), tmp_path / "out")
    assert len(ran.sequences()) == 1
    assert not (tmp_path / "out" / HIDDEN).exists()


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="is a file; the output must be a folder"):
        check_output(tmp_path / "out", SCHEMAS, replace=True)
    with pytest.raises(OutputError, match="cannot make the folder"):
        check_output(tmp_path / "out" / "deeper", SCHEMAS, replace=True)
    assert (tmp_path / "out").read_text() == "mine"


def test_what_is_beside_the_outputs_stays(tmp_path: Path) -> None:
    (tmp_path / "out" / "notes").mkdir(parents=True)
    (tmp_path / "out" / "notes" / "n.parquet").write_text("mine")
    ran = run_in(SPEC, lines_in(tmp_path / "in", views(0)), tmp_path / "out", replace=True)
    assert (ran.folder / "notes" / "n.parquet").read_text() == "mine"


def test_large_outputs_are_several_groups_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1)
    monkeypatch.setattr(parquet, "FILE_BYTES", 1)
    users = [{**shop.at(n, i=1, a="VIEW"), "u": f"u{n}"} for n in range(200)]
    ran = run_in(SPEC, lines_in(tmp_path / "in", {"e": users, "x": []}), tmp_path / "out")
    assert len(files_of(ran.folder, "sequences")) > 3
    assert len(ran.sequences()) == 200


def test_publishing_nothing_gives_empty_files(tmp_path: Path) -> None:
    publish(tmp_path, [], SCHEMAS)
    for name, schema in SCHEMAS.items():
        (file,) = files_of(tmp_path, name)
        assert pq.read_table(file).schema.equals(schema)
        assert pq.read_table(file).num_rows == 0
    assert folder.holds_output(tmp_path, SCHEMAS)


def test_a_stream_shows_each_file_once_it_is_whole(tmp_path: Path) -> None:
    from pipeline.sinks.parquet import Show

    hidden = tmp_path / HIDDEN / "sequences" / "part-1.parquet"
    hidden.parent.mkdir(parents=True)
    pq.write_table(SCHEMAS["sequences"].empty_table(), hidden)
    show = Show(str(tmp_path))
    assert [*show.process("sequences/part-1.parquet")] == ["sequences/part-1.parquet"]
    assert [*show.process("sequences/part-1.parquet")] == ["sequences/part-1.parquet"]
    assert not hidden.exists()
    assert len(files_of(tmp_path, "sequences")) == 1


def test_publishing_that_was_cut_short_goes_on_where_it_was(tmp_path: Path) -> None:
    schemas = {"late": LATE}
    files = []
    for name in ("late/a.parquet", "late/b.parquet"):
        hidden = tmp_path / HIDDEN / name
        hidden.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(LATE.empty_table(), hidden)
        files.append(name)
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "old.parquet").write_bytes(b"of another run")
    (tmp_path / HIDDEN / files[0]).replace(tmp_path / files[0])  # as far as it came
    for _ in range(2):
        publish(tmp_path, files, schemas)
        assert sorted(p.name for p in (tmp_path / "late").iterdir()) == ["a.parquet", "b.parquet"]
    assert not (tmp_path / HIDDEN).exists()
