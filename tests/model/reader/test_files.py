"""A folder read in the order of time, against a sort in memory, and read on from every batch."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from model.batch import SequenceBatch
from model.reader.files import SequenceFiles
from model.reader.ordered import in_order
from model.reader.progress import After
from model.reader.slices import Slice, rows_in, slices_of, whole_of
from model.reader.state import ReaderState
from schemas.failures import Failure, UsageError
from schemas.ids import bucket_of
from schemas.outputs import TOMBSTONES
from tests.model.reader.support import SCHEMA, SPEC, Row, plain, rows, sequence
from tests.oracles.shop import T

ENDS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=25)
"""Sequences as (user, when their session ends)."""


def sequences_of(ends: Sequence[tuple[int, int]]) -> list[Row]:
    return [
        sequence(f"user-{user}", n % 20, 1 + n % 3, n % 2, end=end)
        for n, (user, end) in enumerate(ends)
    ]


def folder_of(folder: Path, there: Sequence[Row], erased: dict[str, int], files: int = 2) -> Path:
    """A folder of a run: sequences dealt to files of small row groups, and tombstones."""
    for name in ("sequences", "tombstones"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(files):
        table = pa.Table.from_batches([rows(there[number::files])])
        pq.write_table(table, folder / "sequences" / f"part-{number}.parquet", row_group_size=3)
    marks = [{"user_id": user, "time": T + time} for user, time in erased.items()]
    marks += [{"user_id": user, "time": T - 9} for user in erased]
    table = pa.Table.from_pylist(marks, TOMBSTONES)
    pq.write_table(table, folder / "tombstones" / "part-0.parquet")
    return folder


def oracle(
    there: Sequence[Row], erased: dict[str, int], budget: int, lane: int = 0, lanes: int = 1
) -> list[list[str]]:
    batches: list[list[Row]] = [[]]
    known = set[tuple[int, str]]()
    for row in sorted(there, key=lambda row: (row["session_end"], row["sequence_id"])):
        key = row["session_end"], row["sequence_id"]
        until = erased.get(row["user_id"])
        void = until is not None and row["session_end"] <= T + until
        if void or key in known or bucket_of(row["user_id"], lanes) != lane:
            continue
        known.add(key)
        tokens = sum(len(each["token_id"]) for each in batches[-1])
        if batches[-1] and tokens + len(row["token_id"]) > budget:
            batches.append([])
        batches[-1].append(row)
    return [[row["sequence_id"] for row in batch] for batch in batches if batch]


def read(folder: Path, budget: int, **more: Any) -> list[SequenceBatch]:
    return [*SequenceFiles(folder, SPEC, tokens=budget, **more)]


@settings(max_examples=40)
@given(
    ENDS,
    st.dictionaries(st.sampled_from(["user-0", "user-1"]), st.integers(0, 9)),
    st.integers(1, 20),
    st.sampled_from([(0, 1), (0, 2), (1, 2)]),
    st.sampled_from([1, 3, 512]),
)
def test_sequences_come_in_the_order_of_time_unless_they_are_void(
    ends: list[tuple[int, int]],
    erased: dict[str, int],
    budget: int,
    lane: tuple[int, int],
    chunk: int,
) -> None:
    there = sequences_of(ends)
    with TemporaryDirectory() as name, patch("model.reader.ordered.CHUNK_ROWS", chunk):
        folder = folder_of(Path(name), there, erased)
        found = read(folder, budget, lane=lane[0], lanes=lane[1])
        assert [[*b.sequence_ids] for b in found] == oracle(there, erased, budget, *lane)


@settings(max_examples=20)
@given(ENDS, st.integers(1, 20), st.sampled_from([1, 3, 512]))
def test_read_on_from_every_batch_it_gives_the_same(
    ends: list[tuple[int, int]], budget: int, chunk: int
) -> None:
    there = sequences_of(ends)
    with TemporaryDirectory() as name, patch("model.reader.ordered.CHUNK_ROWS", chunk):
        folder = folder_of(Path(name), there, {"user-1": 4})
        whole = read(folder, budget)
        last, state = ReaderState(), ReaderState()
        for batch in whole:
            last.advance(batch.progress)
        for number, batch in enumerate(whole):
            state.advance(batch.progress)
            saved = json.loads(json.dumps(state.to_json()))
            again = ReaderState.of(saved, state.to_tensors())
            rest = read(folder, budget, start=again)
            assert [*map(plain, rest)] == [*map(plain, whole[number + 1 :])]
            for each in rest:
                again.advance(each.progress)
            assert again.to_json() == last.to_json()


@settings(max_examples=20)
@given(ENDS, st.integers(1, 3000), st.integers(-1, 26))
def test_slices_of_time_hold_few_rows_and_all_of_them_in_order(
    ends: list[tuple[int, int]], slice_bytes: int, after: int
) -> None:
    there = sequences_of(ends)
    order = sorted((row["session_end"], row["sequence_id"]) for row in there)
    begin = After(*order[after]) if 0 <= after < len(order) else None
    with TemporaryDirectory() as name:
        data = dataset(folder_of(Path(name), there, {}))
        most = rows_in(data, slice_bytes)
        for part in slices_of(data, whole_of(data), most):
            assert data.count_rows(filter=part.rows) <= most or part.stop == part.start + 1
        chunks = in_order(data, begin, lambda batch: batch, slice_bytes)
        found = [(r["session_end"], r["sequence_id"]) for b in chunks for r in plain_rows(b)]
    assert found == [key for key in order if begin is None or key > begin]


def plain_rows(batch: pa.RecordBatch) -> list[Row]:
    ends = batch["session_end"].view(pa.int64()).to_pylist()
    pairs = zip(ends, batch["sequence_id"].to_pylist(), strict=True)
    return [{"session_end": end, "sequence_id": name} for end, name in pairs]


def dataset(folder: Path) -> ds.Dataset:
    files = sorted(map(str, (folder / "sequences").iterdir()))
    return ds.dataset(files, schema=SCHEMA, format="parquet")


def test_a_slice_has_its_start_and_not_its_stop(tmp_path: Path) -> None:
    data = dataset(folder_of(tmp_path, sequences_of([(0, 1), (0, 2), (0, 3)]), {}))
    assert whole_of(data) == Slice(T + 1, T + 4)
    assert data.count_rows(filter=Slice(T + 1, T + 3).rows) == 2


def test_a_slice_of_a_folder_is_what_fits_in_memory(tmp_path: Path) -> None:
    data = dataset(folder_of(tmp_path, sequences_of([(0, n) for n in range(25)]), {}))
    size = sum(group.total_byte_size for f in data.get_fragments() for group in f.row_groups)
    assert rows_in(data, size) == 25
    assert rows_in(data, size // 5) == pytest.approx(5, abs=1)
    assert rows_in(data, 1) == 1


@pytest.mark.parametrize("chunk", [1, 512])
def test_what_was_left_out_is_counted(tmp_path: Path, chunk: int) -> None:
    there = sequences_of([(0, 1), (0, 2), (1, 5)])
    copy, no_copy = there[1], there[1] | {"session_end": T + 3}
    folder = folder_of(tmp_path, [*there, copy, no_copy], {"user-1": 5})
    state = ReaderState()
    with patch("model.reader.ordered.CHUNK_ROWS", chunk):
        for batch in read(folder, 100):
            state.advance(batch.progress)
    assert state.counts() == {
        "rows": 5, "void": 1, "replays": 1, "left_out": 0, "lost": 0,
    }  # fmt: skip


def test_workers_of_a_loader_share_a_lane(tmp_path: Path) -> None:
    there = sequences_of([(n % 4, n) for n in range(20)])
    files = SequenceFiles(folder_of(tmp_path, there, {}), SPEC, tokens=6)
    shared = [name for b in DataLoader(files, batch_size=None, num_workers=2) for name in b.users]
    assert sorted(shared) == sorted(row["user_id"] for row in there)


def test_a_folder_without_sequences_gives_none(tmp_path: Path) -> None:
    assert read(folder_of(tmp_path, [], {}), 10) == []
    for file in (tmp_path / "tombstones").iterdir():
        file.unlink()
    assert read(tmp_path, 10) == []


def rewritten(folder: Path, change: Any) -> Path:
    """A folder of one file whose table is changed."""
    file = folder_of(folder, sequences_of([(0, 1), (0, 2)]), {}, 1) / "sequences/part-0.parquet"
    pq.write_table(change(pq.read_table(file)), file)
    return folder


REFUSED = [
    (lambda t: t.drop_columns("contents"), "column contents is absent; must be int32"),
    (lambda t: t.set_column(7, "contents", t["raw_tokens"]), "contents is int64; must be int32"),
    (lambda t: t.replace_schema_metadata({"phia-schema": "2"}), "version 2; version 1 is read"),
    (
        lambda t: t.set_column(t.schema.names.index("spec"), "spec", pa.array(["0", "0"])),
        "is of the spec with fingerprint 0; the one given has",
    ),
]


@pytest.mark.parametrize(("change", "says"), REFUSED)
def test_files_of_something_else_are_refused(tmp_path: Path, change: Any, says: str) -> None:
    with pytest.raises(Failure) as caught:
        read(rewritten(tmp_path, change), 10)
    assert says in str(caught.value)
    assert str(caught.value).startswith(os.fspath(tmp_path / "sequences" / "part-0.parquet: "))


def test_a_file_that_lost_the_version_on_its_way_through_another_tool_is_read(
    tmp_path: Path,
) -> None:
    folder = rewritten(tmp_path, lambda table: table.replace_schema_metadata({}))
    assert sum(batch.sequences for batch in read(folder, 10)) == 2


def test_rows_that_are_damaged_are_refused(tmp_path: Path) -> None:
    wrong = sequence("u", 1) | {"contents": 2}
    with pytest.raises(Failure, match="contents is not the number of contents among the tokens"):
        read(folder_of(tmp_path, [wrong], {}), 10)


def test_what_is_no_folder_of_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not the folder of a run: it has no sequences/"):
        read(tmp_path, 10)
    folder_of(tmp_path, [], {})
    (tmp_path / "sequences" / "part-9.parquet").write_bytes(b"junk")
    with pytest.raises(Failure, match=r"part-9\.parquet: is not a Parquet file: "):
        read(tmp_path, 10)
