"""`phia erase`: void rows leave a folder already written, and only these (S13)."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.erase import erase
from pipeline.sinks import parquet
from pipeline.sinks.folder import HIDDEN, OutputError
from schemas.outputs import TOMBSTONES, output_schemas
from tests.machine import spec_of
from tests.oracles import shop
from tests.oracles.shop import T
from tests.pipeline.running import Ran, files_of, lines_in, run_in

SPEC = shop.spec_of()


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Three sessions each of forty users, in several files of several row groups."""
    monkeypatch.setattr(parquet, "GROUP_BYTES", 2_000)
    monkeypatch.setattr(parquet, "FILE_BYTES", 5_000)
    records = [
        {**shop.at(k * 5000, i=k + 1, a="VIEW", c=[k]), "u": f"u{n}"}
        for k in range(3)
        for n in range(40)
    ]
    return run_in(SPEC, lines_in(tmp_path / "in", {"e": records, "x": []}), tmp_path / "out")


def tombstones(ran: Ran, name: str, *erased: tuple[str, int]) -> None:
    rows = [{"user_id": user, "time": T + time} for user, time in erased]
    pq.write_table(pa.Table.from_pylist(rows, schema=TOMBSTONES), ran.folder / "tombstones" / name)


def ends(ran: Ran, user: str) -> list[int]:
    return sorted(row["session_end"] - T for row in ran.sequences() if row["user_id"] == user)


def test_rows_that_end_at_or_before_the_last_erasure_go(ran: Ran) -> None:
    before = {row["sequence_id"]: row for row in ran.sequences()}
    tombstones(ran, "a.parquet", ("u1", 5000), ("u2", 4999), ("u3", 99_999), ("nobody", 99_999))
    tombstones(ran, "b.parquet", ("u1", 0), ("u4", -1))
    removed, rewritten = erase(ran.folder)
    assert removed == 2 + 1 + 3
    assert 0 < rewritten <= len(files_of(ran.folder, "sequences"))
    assert [ends(ran, user) for user in ("u1", "u2", "u3", "u4")] == [
        [10_000], [5000, 10_000], [], [0, 5000, 10_000]
    ]  # fmt: skip
    assert all(before[row["sequence_id"]] == row for row in ran.sequences())
    assert len(ran.sequences()) == len(before) - removed
    assert not (ran.folder / HIDDEN).exists()
    schema = output_schemas(spec_of(SPEC))["sequences"]
    for file in files_of(ran.folder, "sequences"):
        assert pq.read_schema(file).equals(schema)
        assert pq.read_schema(file).metadata == schema.metadata


def test_erasing_again_changes_nothing(ran: Ran) -> None:
    tombstones(ran, "a.parquet", ("u1", 5000))
    assert erase(ran.folder)[0] == 2
    before = {file: file.read_bytes() for file in files_of(ran.folder, "sequences")}
    assert erase(ran.folder) == (0, 0)
    assert {file: file.read_bytes() for file in files_of(ran.folder, "sequences")} == before


def test_without_erasures_no_file_is_touched(ran: Ran) -> None:
    before = {file: file.stat().st_mtime_ns for file in files_of(ran.folder, "sequences")}
    assert erase(ran.folder) == (0, 0)
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_folder_all_of_whose_rows_go_keeps_its_files(ran: Ran) -> None:
    tombstones(ran, "a.parquet", *((f"u{n}", 10_000) for n in range(40)))
    assert erase(ran.folder)[0] == 120
    assert ran.sequences() == []
    assert files_of(ran.folder, "sequences")


def test_several_runs_in_one_folder_are_erased_together(ran: Ran, tmp_path: Path) -> None:
    """A later run's erasure voids what an earlier one wrote."""
    erased = [{"u": "u7", "t": T + 5000}]
    records = [{**shop.at(20_000, i=1, a="VIEW"), "u": "u7"}]
    read = lines_in(tmp_path / "more", {"e": records, "x": erased})
    later = run_in(SPEC, read, tmp_path / "later")
    for name in ("sequences", "tombstones"):
        for file in files_of(later.folder, name):
            (ran.folder / name / f"later-{file.name}").write_bytes(file.read_bytes())
    assert erase(ran.folder)[0] == 2
    assert ends(ran, "u7") == [10_000, 20_000]


def test_a_folder_without_output_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(OutputError, match="holds no run's output"):
            erase(folder)


def test_a_tombstones_folder_without_files_erases_nothing(ran: Ran) -> None:
    for file in files_of(ran.folder, "tombstones"):
        file.unlink()
    assert erase(ran.folder) == (0, 0)


@pytest.mark.parametrize("output", ["tombstones", "sequences"])
def test_the_file_that_is_wrong_is_named(ran: Ran, output: str) -> None:
    tombstones(ran, "a.parquet", ("u1", 5000))
    file = ran.folder / output / "z.parquet"
    pq.write_table(pa.table({"colour": [1]}), file)
    lacking = "session_end, user_id" if output == "sequences" else "time, user_id"
    for said in (f"{file}: has no column {lacking}", f"{file}: Parquet "):
        with pytest.raises(OutputError) as raised:
            erase(ran.folder)
        assert str(raised.value).startswith(said)
        assert "\n" not in str(raised.value)
        file.write_bytes(b"no Parquet at all")
