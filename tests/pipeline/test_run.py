"""`phia run` on files, in this process: the oracle's rows, however the work is spread."""

import os
import shutil
from pathlib import Path
from random import Random

import fastavro
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pipeline.options import IN_PROCESS
from schemas.failures import UsageError
from schemas.outputs import output_schemas
from tests.machine import Raw, spec_of
from tests.oracles import shop
from tests.outcome import Row, differences, expected
from tests.pipeline.running import Ran, drawn, files_of, lines_in, run_in, several_files
from tests.strategies.cases import damaged_lines
from tests.strategies.crowds import Sources, crowd, crowd_parts
from tests.strategies.specs import Spec, specs

CROWDS = 3
SEVERAL = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


@pytest.fixture(scope="module")
def crowds() -> list[tuple[Spec, Sources]]:
    """Some specs, each with the records of some dozens of users."""
    chosen = drawn(specs(), 12)[-CROWDS:]
    return [(spec, crowd(spec, drawn(crowd_parts(spec), 35)[10:])) for spec in chosen]


@pytest.mark.parametrize("number", range(CROWDS))
def test_s12_files_give_what_the_oracle_gives(
    crowds: list[tuple[Spec, Sources]], number: int, tmp_path: Path
) -> None:
    spec, sources = crowds[number]
    ran = run_in(spec, lines_in(tmp_path / "in", sources), tmp_path / "out")
    want = expected(spec, sources)
    assert len(want.sequences) > 30
    assert differences(ran.outcome(), want) == []


def test_s12_shards_workers_and_files_change_no_byte(
    crowds: list[tuple[Spec, Sources]], tmp_path: Path
) -> None:
    spec, sources = crowds[1]
    read = lines_in(tmp_path / "in", sources)
    first = run_in(spec, read, tmp_path / "out")
    for shards in (1, 3, 64):
        other = run_in(spec, read, tmp_path / f"out-{shards}", shards=shards)
        assert other.bytes_of_rows() == first.bytes_of_rows(), shards
        assert other.counts == first.counts
    for name, records in sources.items():
        several_files(tmp_path / "several", name, records, 5)
    spread = run_in(spec, tmp_path / "several", tmp_path / "out-several", *SEVERAL)
    assert spread.bytes_of_rows() == first.bytes_of_rows()
    assert spread.tombstones() == first.tombstones()
    assert spread.counts == first.counts


def test_damaged_lines_are_rejected_and_the_rest_goes_through(
    crowds: list[tuple[Spec, Sources]], tmp_path: Path
) -> None:
    spec, sources = crowds[2]
    lines = drawn(damaged_lines(), 60)
    mixed: dict[str, list[Raw]] = {
        name: [*lines, *records, *lines] for name, records in sources.items()
    }
    ran = run_in(spec, lines_in(tmp_path / "in", mixed), tmp_path / "out")
    assert differences(ran.outcome(), expected(spec, mixed)) == []
    raw = {row["raw"] for row in ran.rejects() if row["reason"] == "malformed"}
    assert raw <= set(lines)
    assert all(row["file"] == f"{row['source']}.jsonl" for row in ran.rejects())
    assert all(row["detail"] for row in ran.rejects())


def dictionary_of(ran: Ran) -> list[tuple[str, int, str]]:
    return sorted((r["kind"], r["id"], r["text"]) for r in ran.table("dictionary").to_pylist())


def test_bundles_that_come_again_lose_no_text(tmp_path: Path) -> None:
    """As after a failure: what a worker gave in a bundle that is not kept, nobody has."""
    records = [shop.at(n, i=f"item {n % 179}", a="VIEW", land="de", id=n) for n in range(300)]
    read = lines_in(tmp_path / "in", {"e": records, "x": []})
    once = run_in(shop.spec_of(), read, tmp_path / "once")
    again = run_in(shop.spec_of(), read, tmp_path / "again", "--direct_runner_bundle_repeat=1")
    assert len(dictionary_of(once)) == 180
    assert dictionary_of(again) == dictionary_of(once)
    assert again.bytes_of_rows() == once.bytes_of_rows()


def test_no_files_is_an_error_that_names_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no file of any source; expected e\.jsonl, x\.jsonl"):
        run_in(shop.spec_of(), lines_in(tmp_path / "in", {}), tmp_path / "out")


def test_a_source_without_files_is_a_warning(tmp_path: Path) -> None:
    read = lines_in(tmp_path / "in", {"e": [shop.at(0, i=1, a="VIEW")]})
    ran = run_in(shop.spec_of(), read, tmp_path / "out")
    assert len(ran.warnings) == 1
    assert ran.warnings[0].startswith("source x: no file in ")
    assert ran.counts["sequences"] == 1


def test_files_that_end_otherwise_are_a_warning(tmp_path: Path) -> None:
    read = lines_in(tmp_path / "in", {"e": [shop.at(0, i=1, a="VIEW")], "x": []})
    for name in ("a.JSONL", "b.ndjson", "day=1/c.jsonl.bz2", ".hidden", "_SUCCESS", "good.jsonl"):
        path = read / "e" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    ran = run_in(shop.spec_of(), read, tmp_path / "out")
    assert ran.warnings == [
        "source e: not read, for their names do not end in .jsonl, .jsonl.gz, .jsonl.zst, .json, "
        ".json.gz, .json.zst: e/a.JSONL, e/b.ndjson, e/day=1/c.jsonl.bz2"
    ]
    for n in range(9):
        (read / "x" / f"{n}.txt").parent.mkdir(exist_ok=True)
        (read / "x" / f"{n}.txt").touch()
    again = run_in(shop.spec_of(), read, tmp_path / "again")
    assert again.warnings[1].endswith(": x/0.txt, x/1.txt, x/2.txt, x/3.txt, x/4.txt and 4 more")


def test_a_file_whose_name_is_not_utf8_is_read(tmp_path: Path) -> None:
    read = lines_in(tmp_path / "in", {"x": []})
    lines_in(tmp_path / "made", {"e": [shop.at(0, i=1, a="VIEW"), b"{"]})
    (read / "e").mkdir()
    shutil.move(tmp_path / "made" / "e.jsonl", os.fsdecode(bytes(read / "e") + b"/\xff.jsonl"))
    ran = run_in(shop.spec_of(), read, tmp_path / "out")
    assert len(ran.sequences()) == 1
    assert [row["file"] for row in ran.rejects()] == ["e/\ufffd.jsonl"]


def test_nothing_is_made_where_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run_in(shop.spec_of(), lines_in(tmp_path / "in", {}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_records_at_all_give_every_output_with_its_schema(tmp_path: Path) -> None:
    ran = run_in(shop.spec_of(), lines_in(tmp_path / "in", {"e": [], "x": []}), tmp_path / "out")
    for name, schema in output_schemas(spec_of(shop.spec_of())).items():
        (file,) = files_of(ran.folder, name)
        assert pq.read_table(file).num_rows == 0
        assert pq.read_schema(file).equals(schema), name
        assert pq.read_schema(file).metadata == schema.metadata


def typed_spec(form: str) -> Spec:
    spec = shop.spec_of(features={"land": "scalar", "price": "scalar"})
    source = spec["sources"]["e"]
    source["features"] = {"land": {"field": "land"}, "price": {"field": "price", "bins": [5, 20.5]}}
    spec["sources"] = {"e": {**source, "format": form}}
    return spec


def typed_records() -> list[Row]:
    random = Random(8)
    return [
        {
            "u": f"u{random.randrange(60)}",
            "t": shop.T + random.randrange(60_000),
            "id": f"{n}",
            "i": random.randrange(1, 30),
            "a": random.choice(["VIEW", "LIKE", "OUT", None]),
            "c": random.choice([None, "a", "ü"]),
            "land": random.choice([None, "de", "fr"]),
            "price": random.choice([None, 4.5, 20.5, 1e3]),
        }
        for n in range(3000)
    ]


def written_as(form: str, records: list[Row], folder: Path) -> Path:
    table = pa.Table.from_pylist(records)
    folder.mkdir()
    if form == "json":
        lines_in(folder, {"e": list(records)})
    elif form == "parquet":
        pq.write_table(table, folder / "e.parquet", row_group_size=700)
    elif form == "csv":
        pa.csv.write_csv(table, folder / "e.csv")
    elif form == "arrow":
        with pa.ipc.new_file(folder / "e.arrow", table.schema) as writer:
            writer.write_table(table, max_chunksize=700)
    else:
        nullable = {"u": "string", "t": "long", "id": "string", "i": "long", "price": "double"}
        fields = [{"name": n, "type": ["null", nullable.get(n, "string")]} for n in records[0]]
        schema = {"type": "record", "name": "r", "fields": fields}
        with (folder / "e.avro").open("wb") as out:
            fastavro.writer(out, schema, records)
    return folder


def test_s12_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    records, found = typed_records(), {}
    for form in ("json", "arrow", "parquet", "csv", "avro"):
        read = written_as(form, records, tmp_path / form)
        ran = run_in(typed_spec(form), read, tmp_path / f"out-{form}")
        assert ran.rejects() == []
        found[form] = [{**row, "spec": ""} for row in ran.sequences()]
    assert len(found["json"]) > 100
    assert {form: rows == found["json"] for form, rows in found.items()} == dict.fromkeys(
        found, True
    )


@pytest.mark.parametrize("runner", IN_PROCESS)
def test_every_runner_in_this_process_fires_its_timers(runner: str, tmp_path: Path) -> None:
    records = [shop.at(n * 5000, i=1, a="VIEW") for n in range(30)]
    read = lines_in(tmp_path / "in", {"e": records, "x": []})
    ran = run_in(shop.spec_of(), read, tmp_path / "out", f"--runner={runner}")
    assert len(ran.sequences()) == ran.counts["sequences"] == 30


@pytest.mark.slow
def test_a_user_of_many_events_is_one_of_all(tmp_path: Path) -> None:
    history = {"contents": 50}
    spec = shop.spec_of(history=history)
    one = [shop.at(n * 7, i=n % 1000 + 1, a="VIEW", id=n) for n in range(200_000)]
    ran = run_in(spec, lines_in(tmp_path / "in", {"e": one}), tmp_path / "out")
    (row,) = ran.sequences()
    assert (row["new_contents"], row["contents"]) == (200_000, 50)
    assert row["raw_tokens"] == 400_000


@pytest.mark.slow
def test_a_user_of_nine_in_ten_events_hinders_nobody(tmp_path: Path) -> None:
    spec = shop.spec_of(history={"contents": 20})
    big = [shop.at(n * 1500, i=n % 50 + 1, a="VIEW", id=n) for n in range(18_000)]
    small = [{**shop.at(n, i=1, a="LIKE", id=n), "u": f"s{n}"} for n in range(2_000)]
    ran = run_in(spec, lines_in(tmp_path / "in", {"e": [*big, *small]}), tmp_path / "out")
    rows = ran.sequences()
    assert sum(row["user_id"] == "u" for row in rows) == 18_000
    assert sum(row["user_id"] != "u" for row in rows) == 2_000
    assert max(row["contents"] for row in rows) == 20
