"""Where a run may read and write: nothing that a user gave is written over or removed."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.erase import erase
from pipeline.options import Run, run_of
from pipeline.places import the_one
from pipeline.run import run
from schemas.failures import UsageError
from schemas.outputs import TOMBSTONES
from tests.machine import spec_of
from tests.oracles import shop
from tests.pipeline.running import Ran, lines_in, run_in


def spec_with(source: str) -> dict[str, Any]:
    written = shop.spec_of()
    written["sources"] = {source: written["sources"]["e"]}
    return written


def asked(read: object, write: str, spec_file: Path | None = None, source: str = "e") -> Run:
    spec = spec_of(spec_with(source))
    return run_of(spec, str(read), [write], None, "earliest", None, {}, (), spec_file=spec_file)


def refused(*given: object, **more: object) -> str:
    with pytest.raises(UsageError) as raised:
        asked(*given, **more)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def read(tmp_path: Path) -> Path:
    return lines_in(tmp_path / "in", {"e": [shop.at(0, i=1, a="VIEW")], "x": []})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "is empty; name a folder"),
        ("s3://b/x", "--output=s3://b/x: must be a folder of this machine, or kafka://"),
        ("gs://b", "must be a folder of this machine"),
        ("http://h:1/x", "must be a folder of this machine"),
        ("~/zz", "--output=~/zz: the shell left ~ as it is; write --output ~/zz"),
        ("x" * 300, "File name too long"),
        ("\udcff", "is not UTF-8"),
    ],
)
def test_what_is_no_folder_of_this_machine_is_refused(read: Path, written: str, said: str) -> None:
    assert said in refused(read, written)
    assert said.replace("--output", "--input") in refused(written, "out")


def test_the_spec_that_is_given_is_not_written_over(read: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("# mine")
    link = tmp_path / "link.yaml"
    link.symlink_to(spec)
    for given in (spec, link):
        assert "over the spec that is given" in refused(read, str(tmp_path), given)
    assert asked(read, str(tmp_path / "out"), spec).folder_out == tmp_path / "out"
    assert asked(read, str(tmp_path), tmp_path / "other.yaml").folder_out == tmp_path


@pytest.mark.parametrize(
    ("source", "inside", "out"),
    [
        ("e", "in", "in"),
        ("sequences", "in", "in"),
        ("out", "in", "in/out"),  # its Parquet files would be files of the source
        ("out", "in", "in/out/deep"),
        ("e", "old/sequences", "old"),  # --replace would remove what is read
        ("e", "old/late/day=1", "old"),
        ("e", "old/.phia-writing", "old"),
    ],
)
def test_output_that_would_get_among_the_input_is_refused(
    source: str, inside: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / inside).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for written in (out, str(tmp_path / out), f"{inside}/../{'../' * inside.count('/')}{out}"):
        assert f"--output={Path(written)}: " in refused(inside, written, source=source)
    (tmp_path / "link").symlink_to(tmp_path / inside)
    assert "--output=" in refused("link", out, source=source)


def test_folders_apart_are_taken(read: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "out", read / "out", tmp_path):
        assert asked(read, str(out)).folder_out == out
    (tmp_path / "old" / "input").mkdir(parents=True)
    assert asked(tmp_path / "old" / "input", str(tmp_path / "old")).folder_out == tmp_path / "old"


def test_a_spec_of_an_older_run_makes_another_and_its_own_is_replaced(
    read: Path, tmp_path: Path
) -> None:
    first = run_in(shop.spec_of(), read, tmp_path / "out")
    (tmp_path / "spec.yaml").write_text(json.dumps(shop.spec_of()))
    kept = tmp_path / "out" / "spec.yaml"
    for spec, out in ((kept, "next"), (tmp_path / "spec.yaml", "out"), (kept, "out")):
        again = run_in(shop.spec_of(), read, tmp_path / out, spec_file=spec, replace=True)
        assert again.bytes_of_rows() == first.bytes_of_rows()


def test_a_folder_with_a_colon_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines_in(Path("in:1"), {"e": [shop.at(0, i=1, a="VIEW"), shop.at(1, i=2, a="VIEW")]})
    run(asked("in:1", "a:b"), pytest.fail)
    (row,) = Ran(Path("a:b")).sequences()
    tombstone = pa.table([["u"], [row["session_end"]]], schema=TOMBSTONES)
    with Path("a:b/tombstones/part-1.parquet").open("wb") as file:
        pq.write_table(tombstone, file)
    assert erase(Path("a:b")) == (1, 1)
    assert Ran(Path("a:b")).sequences() == []


def test_an_option_that_may_stand_once_stands_once() -> None:
    assert the_one("--input", ["a"]) == "a"
    with pytest.raises(UsageError, match="--input: given 2 times; name one"):
        the_one("--input", ["a", "b"])
